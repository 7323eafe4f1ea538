/** Commands on savepoints: create, list, delete on a server; inspect on a folder, without one. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { MillraceError } from '../core/errors.ts'
import { inspectSavepoint } from '../savepoint/inspect.ts'
import { openSavepointFolder } from '../savepoint/savepoint-files.ts'
import { type OutputOptions, outputOf, type ServerOptions, withClient } from './context.ts'
import type { CliDeps } from './deps.ts'
import { writeInspection, writeSavepointMade, writeSavepoints } from './savepoint-view.ts'
import { positiveInteger, withOutput, withServer } from './shared-options.ts'

/** Adds the commands to the program. */
export function addSavepointCommands(program: Command, deps: CliDeps): void {
  const command = program
    .command('savepoint')
    .summary('keep all that a job is, and look at what was kept')
    .description(
      'A savepoint holds all that a job is at one point, in a folder of its own that needs no server and no store. Jobs ' +
        'begin from one with submit --from-savepoint.',
    )
  withServer(command.command('create'))
    .summary('make a savepoint of a job')
    .description(
      "Makes a savepoint of a job in the server's folder of savepoints, and waits until it is durable. The job goes on. Of a " +
        'job that is suspended or finished, its last checkpoint is taken.',
    )
    .argument('<job>', 'name of the job')
    .argument('[name]', 'name of the savepoint; the server chooses one when absent')
    .action(async (job: string, name: string | undefined, options: ServerOptions) => {
      const made = await withClient(deps, options, ({ control }) => control.triggerSavepoint(job, name ?? ''))
      writeSavepointMade(outputOf(deps, options), made)
    })
  withServer(command.command('list'))
    .summary('list the savepoints of a server')
    .description(
      "Lists what is in the server's folder of savepoints, newest first, those of jobs that are gone included.",
    )
    .argument('[job]', 'name of the job; of all when absent')
    .action(async (job: string | undefined, options: ServerOptions) => {
      const savepoints = await withClient(deps, options, ({ control }) => control.listSavepoints(job ?? ''))
      writeSavepoints(outputOf(deps, options), savepoints)
    })
  withServer(command.command('delete'))
    .summary('delete a savepoint for good')
    .description('Deletes a savepoint for good.')
    .argument('<job>', 'name of the job')
    .argument('<name>', 'name of the savepoint')
    .action(async (job: string, name: string, options: ServerOptions) => {
      await withClient(deps, options, ({ control }) => control.deleteSavepoint(job, name))
      const output = outputOf(deps, options)
      if (output.format === 'json') output.json({ job, name, deleted: true })
      else output.line(`savepoint ${job}/${name} deleted`)
    })
  withOutput(command.command('inspect'))
    .summary('show what is in a savepoint, without a server')
    .description(
      'Reads the folder of a savepoint and shows its operators, positions, watermarks and tables: how many keys, rows and ' +
        'bytes each has, how they are spread over key groups, and some rows with their values. Needs no server and no job.',
    )
    .argument('<folder>', 'folder of the savepoint')
    .option('--table <table>', 'only this one: its id, operator/id, or an operator')
    .option('--keys <n>', 'sample rows of each table', positiveInteger, 5)
    .action(async (folder: string, options: OutputOptions & { table?: string; keys: number }) => {
      const path = resolve(folder)
      const reader = await openSavepointFolder(path, `savepoint ${path}`, () => noSavepoint(path))
      const wish = { table: options.table ?? null, keys: options.keys }
      writeInspection(outputOf(deps, options), await inspectSavepoint(reader, wish), path)
    })
}

function noSavepoint(path: string): MillraceError {
  return new MillraceError(
    'SAVEPOINT_NOT_FOUND',
    `${path} is no savepoint: it has no savepoint.binpb. Name the folder of one, as <savepoints>/<job>/<name>`,
  )
}
