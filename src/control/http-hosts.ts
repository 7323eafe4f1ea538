/**
 * Which hosts the HTTP sinks of submitted jobs may post to: those that the operator lists.
 *
 * Owns: that a definition names no other, so that nobody who may submit a job makes this server ask any that it reaches.
 * Modules in TypeScript are not asked: they are the server's own code, and could ask without a sink.
 */
import { MillraceError, type Violation } from '../core/errors.ts'
import type { JobDefinition, SinkOutput } from '../job/definition.ts'

/** Throws JOB_INVALID with every URL of `definition` whose host is not in `hosts`, `host` or `host:port`, with commas. */
export function checkHttpHosts(definition: JobDefinition, hosts: string): void {
  const allowed = hosts.split(',').filter((host) => host !== '')
  const violations = urlsOf(definition)
    .filter(({ url }) => !allowed.some((host) => isHost(host, new URL(url))))
    .map(({ field, url }): Violation => {
      const { host } = new URL(url)
      const message = `${host} is not among the hosts that this server posts to (MILLRACE_SINK_HTTP_HOSTS)`
      return { field, message, line: 0, column: 0 }
    })
  const [first] = violations
  if (first === undefined) return
  throw new MillraceError('JOB_INVALID', `job ${definition.name} is not valid: ${first.field}: ${first.message}`, {
    violations,
  })
}

function urlsOf({ sinks, deadLetters, late }: JobDefinition): { field: string; url: string }[] {
  const outputs: [string, SinkOutput | undefined][] = [
    ...sinks.map(({ output }, i): [string, SinkOutput] => [`sinks[${i}].http.url`, output]),
    ['deadLetters.http.url', deadLetters?.output],
    ['late.http.url', late?.output],
  ]
  return outputs.flatMap(([field, output]) => (output?.kind === 'http' ? [{ field, url: output.url }] : []))
}

/** Whether an entry of the list names the host of a URL, and its port. */
function isHost(entry: string, url: URL): boolean {
  const listed = URL.parse(`${url.protocol}//${entry}`)
  return listed !== null && listed.host === url.host
}
