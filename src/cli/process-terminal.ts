/**
 * The process that a command runs in, as commands see it: standard streams, signals, and how it was started.
 *
 * An adapter: the only file of cli/ that touches `process`. A reader that goes away (`| head`) ends the command quietly,
 * as it ends any other.
 */
import { existsSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { CliDeps, TextStream } from './deps.ts'

/** The parts of CliDeps that the process itself gives. */
export type ProcessDeps = Pick<CliDeps, 'stdout' | 'stderr' | 'readStdin' | 'env' | 'onSignal' | 'command'>

/** Reads the process. */
export function processDeps(): ProcessDeps {
  return {
    stdout: textStream(process.stdout),
    stderr: textStream(process.stderr),
    readStdin,
    env: process.env,
    onSignal: (listener) => {
      const interrupt = () => listener('SIGINT')
      const terminate = () => listener('SIGTERM')
      process.on('SIGINT', interrupt)
      process.on('SIGTERM', terminate)
      return () => {
        process.off('SIGINT', interrupt)
        process.off('SIGTERM', terminate)
      }
    },
    command: commandOf(process.execPath, process.argv[1] ?? '', process.cwd()),
  }
}

function textStream(stream: NodeJS.WriteStream): TextStream {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  return {
    write: (text) => stream.write(text),
    get isTTY() {
      return stream.isTTY === true
    },
    get columns() {
      return stream.columns ?? 80
    },
  }
}

async function readStdin(): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of process.stdin) parts.push(part as Buffer)
  return Buffer.concat(parts).toString('utf8')
}

/**
 * What to type to start the program again: `millrace` where it is installed; from a checkout its `bin/millrace`, or else
 * the very Node and file that run now, since the system's Node may be an old one.
 */
export function commandOf(
  execPath: string,
  script: string,
  folder: string,
  exists: (path: string) => boolean = existsSync,
): string {
  if (!script.endsWith('.ts')) return 'millrace'
  const short = (path: string) => {
    const inside = relative(folder, path)
    return inside.startsWith('..') ? path : inside
  }
  const wrapper = join(dirname(script), '../bin/millrace')
  return exists(wrapper) ? short(wrapper) : `${short(execPath)} ${short(script)}`
}
