/** What `millrace serve` does, without the command line: an engine set by the environment, until the process is ended. */
import { readFileSync } from 'node:fs'
import { parseConfig } from '../../src/config.ts'
import { engineLogger, startEngine } from '../../src/engine.ts'

const config = parseConfig(process.env)
const descriptors = readFileSync(new URL('../../src/gen/descriptors.binpb', import.meta.url))
const engine = await startEngine(config, descriptors, engineLogger(config, false))
process.stderr.write(`serving gRPC on ${engine.address}\n`)
