/** `txn list` and `txn abort`: transactions on Kafka of the sinks of jobs, and those that hold back what jobs read. */
import type { Command } from 'commander'
import type { TransactionTarget } from '../control/transactions.ts'
import { outputOf, type ServerOptions, withClient } from './context.ts'
import type { CliDeps } from './deps.ts'
import { usage } from './failure.ts'
import { printable } from './format.ts'
import { withServer } from './shared-options.ts'
import { writeTransactions } from './txn-view.ts'

/** Adds the commands to the program. */
export function addTxnCommands(program: Command, deps: CliDeps): void {
  const txn = program
    .command('txn')
    .summary('list and end transactions of Kafka sinks')
    .description(
      'Transactions on Kafka of the sinks of jobs. A sink ends its own, and so does the next start of its job; what is left ' +
        'open otherwise keeps readers of committed records waiting until it times out.',
    )
  withServer(txn.command('list'))
    .summary('list open transactions')
    .description(
      'Lists what is open: which job and sink it belongs to, for how long, and which partitions it keeps readers of ' +
        'committed records from, by how many records. Also transactions of others that hold back a topic that a job reads ' +
        'or writes.',
    )
    .argument('[job]', 'name of a job; all jobs unless given')
    .option('--idle', 'also ids under which nothing is open', false)
    .action(async (job: string | undefined, options: ServerOptions & { readonly idle: boolean }) => {
      const { transactions, unasked } = await withClient(deps, options, ({ control }) =>
        control.listTransactions(job ?? '', options.idle),
      )
      writeTransactions(outputOf(deps, options), transactions, unasked, deps.clock.nowMs())
      for (const why of unasked) deps.stderr.write(`could not ask ${printable(why)}\n`)
    })
  withServer(txn.command('abort'))
    .summary('end an open transaction')
    .description(
      'Ends what is open under a transactional id, as the next owner of it would: what was not committed is aborted. With ' +
        '--hanging, aborts one that no coordinator knows, by the partition that it holds back. Refused for a job that runs.',
    )
    .argument('<id>', 'transactional id, or with --hanging TOPIC-PARTITION')
    .option('--hanging <producer>', 'id of the producer whose transaction hangs')
    .option('--brokers <host:port,...>', 'with --hanging, the cluster; the own one of the server unless given')
    .option('--force', 'end it although its job runs, or it is of somebody else, or may still end by itself', false)
    .action(async (id: string, options: ServerOptions & AbortOptions) => {
      const target = targetOf(id, options)
      const ended = await withClient(deps, options, ({ control }) => control.endTransaction(target, options.force))
      const output = outputOf(deps, options)
      if (output.format === 'json') output.json({ id, ...ended })
      else output.line(`${printable(id)}: ${ended.outcome}`)
    })
}

interface AbortOptions {
  readonly hanging?: string
  readonly brokers?: string
  readonly force: boolean
}

function targetOf(id: string, { hanging, brokers = '' }: AbortOptions): TransactionTarget {
  if (hanging === undefined) return { transactionalId: id }
  const match = /^(.+)-(\d+)$/.exec(id)
  if (match === null) throw usage(`${id} is not TOPIC-PARTITION, which --hanging needs`)
  if (!/^\d+$/.test(hanging)) throw usage(`--hanging ${hanging} is not the number of a producer`)
  return { topic: match[1]!, partition: Number(match[2]), producerId: Number(hanging), brokers }
}
