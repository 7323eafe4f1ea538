/**
 * Writes the pages of docs/reference that are made from tables in the code. `--check` only says whether they differ.
 *
 *   node tools/reference.ts [--check]
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { status } from '@grpc/grpc-js'
import { exitCodeOf, exitCodes } from '../src/cli/failure.ts'
import { settings } from '../src/config.ts'
import { errorCodes, MillraceError } from '../src/core/errors.ts'
import { metricTable } from '../src/observe/metric-table.ts'
import { statusOfCode } from '../src/rpc/errors.ts'
import { readModel } from './job-schema/model.ts'
import { jobDefinitionPage } from './job-schema/page.ts'
import { jobSchema } from './job-schema/schema.ts'
import { cliPage } from './reference-cli.ts'

const generated = '<!-- Made by tools/reference.ts: edit the table in the code, then run `node tools/reference.ts`. -->'

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n')
}

function configuration(): string {
  const rows = Object.values(settings).map((setting) => [
    `\`${setting.name}\``,
    setting.fallback === '' ? '' : `\`${setting.fallback}\``,
    setting.unit,
    setting.help,
  ])
  return `# Configuration
${generated}

A server and the \`millrace\` command read their settings from environment variables, once, at start. An empty variable
counts as unset. All mistakes are reported at once. What a job does is in its definition, not here.

${table(['Variable', 'Default', 'Value', 'What it does'], rows)}

\`NO_COLOR\` set to anything keeps colour out of terminals.
`
}

function metrics(): string {
  const rows = metricTable.map((metric) => [
    `\`${metric.name}\``,
    metric.type,
    metric.labels.map((label) => `\`${label}\``).join(', '),
    metric.help,
  ])
  return `# Metrics of Millrace itself
${generated}

Served at \`/metrics\` in Prometheus' text format, with the CPU, memory and event-loop metrics of the process
(\`process_*\`, \`nodejs_*\`). Names in brackets are those of Flink and Kafka Streams for the same thing.

${table(['Name', 'Type', 'Labels', 'Meaning'], rows)}
`
}

function errors(): string {
  const rows = errorCodes.map((code) => {
    const error = new MillraceError(code, '')
    return [`\`${code}\``, error.domain, error.retry, status[statusOfCode[code]], String(exitCodeOf(error))]
  })
  return `# Error codes
${generated}

Every failure has a stable code. Over gRPC it is the \`reason\` of the \`google.rpc.ErrorInfo\` (domain \`millrace.dev\`) in the
trailer \`grpc-status-details-bin\`; mistakes in a document are \`BadRequest\` field violations whose descriptions begin with
\`line:column:\`, and \`RetryInfo\` is there when trying again can help. The command line prints the code and exits with the
number of the last column; it exits with ${exitCodes.interrupted} after Ctrl-C.

Domain: \`user\` changes the input, \`external\` waits for a broker or store, \`internal\` is a bug of ours. Retry: \`never\`,
\`backoff\` (after a pause), \`restart\` (of the job, from its last checkpoint).

${table(['Code', 'Domain', 'Retry', 'gRPC status', 'Exit code'], rows)}
`
}

function jobSchemaText(): string {
  return `${JSON.stringify(jobSchema(jobModel()), null, 2)}\n`
}

let model: ReturnType<typeof readModel> | null = null

function jobModel(): ReturnType<typeof readModel> {
  model ??= readModel()
  return model
}

/** The generated pages: path from the root of the repository, and text. */
export function referencePages(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/reference/cli.md', cliPage(generated, table)],
    ['docs/reference/configuration.md', configuration()],
    ['docs/reference/job-definition.md', jobDefinitionPage(jobModel(), generated, table)],
    ['docs/reference/job.schema.json', jobSchemaText()],
    ['docs/reference/metrics.md', metrics()],
    ['docs/reference/errors.md', errors()],
  ])
}

/** Pages that are not as the code would make them. */
export function driftedPages(): string[] {
  return [...referencePages()].filter(([path, text]) => read(path) !== text).map(([path]) => path)
}

function read(path: string): string {
  try {
    return readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
  } catch {
    return ''
  }
}

if (import.meta.main) {
  if (process.argv.includes('--check')) {
    const drifted = driftedPages()
    for (const path of drifted) console.error(`${path} is not what the code says: run node tools/reference.ts`)
    process.exitCode = drifted.length === 0 ? 0 : 1
  } else {
    for (const [path, text] of referencePages()) writeFileSync(new URL(`../${path}`, import.meta.url), text)
  }
}
