#!/usr/bin/env node
/**
 * The `millrace` program: hands the command line its world and runs it.
 *
 * Composition only: what a server is made of is engine.ts, what commands do is cli/.
 */
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { processDeps } from './cli/process-terminal.ts'
import { runCli } from './cli/program.ts'
import { systemClock, systemRandom, systemScheduler } from './core/system.ts'

const here = import.meta.dirname
const descriptors = (): Uint8Array => readFileSync(join(here, 'gen/descriptors.binpb'))
const { version } = JSON.parse(readFileSync(join(here, '../package.json'), 'utf8')) as { version: string }
const terminal = processDeps()

process.exitCode = await runCli(
  process.argv.slice(2),
  {
    ...terminal,
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    descriptors,
    startEngine: async (config) => {
      // Loaded on demand: most commands only talk to a server, and should answer at once.
      const { engineLogger, startEngine } = await import('./engine.ts')
      return startEngine(config, descriptors(), engineLogger(config, terminal.stderr.isTTY))
    },
    inspectModule: async (file) => {
      const { inspectModule } = await import('./coordinator/module-inspector.ts')
      const { programDefinition } = await import('./program/job-definition.ts')
      return programDefinition(basename(file), await inspectModule(file, systemScheduler))
    },
    version,
  },
  { demoJob: join(here, '../jobs/engagement.yaml') },
)
