/**
 * What `--help` teaches: examples of every command, and how each of them can end.
 *
 * Owns: one table; docs/reference/cli.md is made of the same. Does not own: what options there are (the commands say),
 * exit codes as such (cli/failure.ts). A test runs every example through the parser.
 */
import type { Command } from 'commander'
import { exitCodes } from './failure.ts'

/** What an exit code means, for people. */
export const exitMeanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  ok: 'done',
  failure: 'the command or the job failed',
  usage: 'the command was not understood',
  invalid: 'a job, query, setting or file is not what it must be',
  unreachable: 'no server, broker or store answers',
  notFound: 'what was named does not exist',
  denied: 'the server does not let this caller in, or not do this',
  interrupted: 'ended by Ctrl-C',
}

/** Examples of one command, and the exit codes that it can have besides those of every command. */
export interface Lesson {
  /** What to type after the program's name, and what it is for. */
  readonly examples: readonly (readonly [line: string, purpose: string])[]
  readonly exits: readonly (keyof typeof exitCodes)[]
}

/** Exit codes of commands that ask a server. */
const asking = ['invalid', 'unreachable', 'denied'] as const

/** Every command by its path, as `query` or `new job`; '' is the program itself. */
export const lessons: Readonly<Record<string, Lesson>> = {
  '': {
    examples: [
      ['demo', 'the whole way, on sample data'],
      ['serve', 'a server on this machine'],
      ['submit jobs/engagement.yaml', 'a job on it'],
      ['produce --job jobs/engagement.yaml', 'sample events for the job'],
      ['query engagement/active_users', 'its numbers'],
      ['describe engagement --watch', 'how it gets on'],
      ['list --output json', 'for machines'],
    ],
    exits: ['failure', 'usage', 'invalid', 'unreachable', 'notFound', 'denied', 'interrupted'],
  },
  demo: {
    examples: [
      ['demo', 'the shipped job on its sample data'],
      ['demo --rate 500', 'slower, to watch'],
      ['demo --output json', 'the numbers at the end, for machines'],
    ],
    exits: ['failure', 'invalid', 'unreachable', 'interrupted'],
  },
  serve: {
    examples: [['serve', 'with the settings of the environment: docs/reference/configuration.md']],
    exits: ['failure', 'invalid', 'unreachable', 'interrupted'],
  },
  controller: {
    examples: [
      ['controller', 'of the namespace of the pod, or of the current context'],
      ['controller --namespace shop --server millrace-headless.shop:7420', 'from elsewhere'],
    ],
    exits: ['failure', 'invalid', 'interrupted'],
  },
  run: {
    examples: [
      ['run jobs/engagement.yaml', 'until it ends or Ctrl-C'],
      ['run jobs/abandoned-carts.ts', 'a job in TypeScript'],
      ['produce --job jobs/engagement.yaml --sort-by-time', 'its events, from another terminal'],
      ['query engagement/active_users --latest --limit 10', 'its numbers meanwhile'],
    ],
    exits: ['failure', 'invalid', 'unreachable', 'interrupted'],
  },
  validate: {
    examples: [
      ['validate jobs/engagement.yaml', 'here, without a server'],
      ['validate jobs/engagement.yaml --output json', 'every mistake with its place, for machines'],
      ['validate - --server 127.0.0.1:7420', 'standard input, by a server'],
    ],
    exits: [...asking],
  },
  submit: {
    examples: [
      ['submit jobs/engagement.yaml', 'check it and start it'],
      ['submit - --server 127.0.0.1:7420', 'a definition from standard input'],
      ['submit jobs/engagement.yaml --from-savepoint before-sale', 'begin from what was kept of it'],
    ],
    exits: ['failure', ...asking],
  },
  list: {
    examples: [
      ['list', 'every job, one a row'],
      ['list --output json', 'for machines'],
    ],
    exits: [...asking],
  },
  describe: {
    examples: [
      ['describe engagement', 'its graph, with back-pressure and watermarks'],
      ['describe engagement --watch', 'the same, live, until it ends'],
      ['describe engagement --watch --output json', 'a JSON document for each change'],
    ],
    exits: [...asking, 'notFound', 'interrupted'],
  },
  cancel: {
    examples: [['cancel engagement', 'end it for good; its checkpoints are dropped']],
    exits: ['failure', ...asking, 'notFound'],
  },
  stop: {
    examples: [
      ['stop engagement', 'suspend it after a last checkpoint'],
      ['stop engagement --savepoint last', 'and keep that in a folder of its own'],
      ['submit jobs/engagement.yaml', 'later: it goes on from there'],
    ],
    exits: ['failure', ...asking, 'notFound'],
  },
  rescale: {
    examples: [
      ['rescale engagement -p 4', 'go on with four subtasks of each operator'],
      ['describe engagement', 'how long it was down is under Changes'],
    ],
    exits: ['failure', ...asking, 'notFound'],
  },
  upgrade: {
    examples: [
      ['upgrade jobs/engagement.yaml --dry-run', 'what becomes of its state'],
      ['upgrade jobs/engagement.yaml --drop-state page_views', 'go on with it, and let page_views go'],
    ],
    exits: ['failure', 'invalid', ...asking, 'notFound'],
  },
  checkpoints: {
    examples: [
      ['checkpoints engagement', 'those that are held, newest first'],
      ['checkpoints engagement --trigger', 'take one now'],
    ],
    exits: ['failure', ...asking, 'notFound'],
  },
  'savepoint create': {
    examples: [
      ['savepoint create engagement before-sale', 'while it runs; it goes on'],
      ['savepoint create engagement', 'under a name that the server chooses'],
    ],
    exits: ['failure', ...asking, 'notFound'],
  },
  'savepoint list': {
    examples: [
      ['savepoint list', 'those of all jobs, newest first'],
      ['savepoint list engagement --output json', 'for machines'],
    ],
    exits: [...asking],
  },
  'savepoint delete': {
    examples: [['savepoint delete engagement before-sale', 'for good']],
    exits: ['failure', ...asking, 'notFound'],
  },
  'savepoint inspect': {
    examples: [
      ['savepoint inspect .millrace/savepoints/engagement/before-sale', 'what is in it'],
      ['savepoint inspect .millrace/savepoints/engagement/before-sale --table merge --keys 20', 'more rows of some'],
      ['savepoint inspect .millrace/savepoints/engagement/before-sale --output json', 'for machines'],
    ],
    exits: ['failure', 'invalid', 'notFound'],
  },
  query: {
    examples: [
      ['query', 'which metrics there are'],
      ['query engagement/purchases --latest --limit 10', 'the newest ten values'],
      ['query engagement/page_views --from 2024-03-01 --to 2024-03-02', 'windows that overlap a day'],
      ['query engagement/page_views --filter platform=web --filter platform=ios', 'one platform or the other'],
      ['query engagement/feature_interactions --filter properties.feature^=s', 'features that begin with s'],
      ['query engagement/feature_interactions --top 3', 'the three most used features of each day'],
      ['query engagement/page_views --export csv', 'a file to hand on, which says what it is and how complete'],
      ['query engagement/page_views --group-by "" --value ">=100"', 'totals of hours with a hundred views or more'],
    ],
    exits: [...asking, 'notFound'],
  },
  watch: {
    examples: [
      ['watch engagement/page_views', 'a table that follows the values'],
      ['watch engagement/page_views --changes --output json', 'a JSON document for each change from now on'],
    ],
    exits: [...asking, 'notFound', 'interrupted'],
  },
  funnel: {
    examples: [
      ['funnel conversion/checkout --from 2024-03-01 --to 2024-03-08', 'each day of a week, by platform'],
      ['funnel conversion/checkout --group-by ""', 'all platforms together'],
      ['funnel conversion/checkout --filter platform=web --output json', 'one platform, for machines'],
    ],
    exits: [...asking, 'notFound'],
  },
  retention: {
    examples: [
      ['retention retention/weekly', 'all cohorts that are kept, and the curve'],
      ['retention retention/weekly --from 2024-03-01 --output json', 'cohorts from a day on, for machines'],
    ],
    exits: [...asking, 'notFound'],
  },
  ltv: {
    examples: [
      ['ltv revenue/days --discount 1%', 'who is worth most in the next 12 x 30 days'],
      ['ltv revenue/days --person 07592 --steps 52 --step-days 7', 'one person, over a year of weeks'],
      ['ltv revenue/days --margin 40% --churn 5% --csv', 'with the steady state, for a spreadsheet'],
    ],
    exits: [...asking, 'notFound'],
  },
  lookup: {
    examples: [
      ['lookup shop u17', 'all that job shop knows of the person u17'],
      ['lookup shop u17 --metrics views_by_person --limit 10', 'the newest ten values of one metric'],
    ],
    exits: [...asking, 'notFound'],
  },
  episodes: {
    examples: [
      ['episodes incidents', 'all that is known'],
      ['episodes incidents --detector payment --open', 'what one detector finds wrong now'],
      ['episodes incidents --detectors', 'what is watched, and how thresholds were set'],
      ['episodes incidents --watch --output json', 'each change in a line, for machines'],
    ],
    exits: [...asking, 'notFound', 'interrupted'],
  },
  'new job': {
    examples: [
      ['new job big-spenders', 'jobs/big-spenders.ts and its test; node --test runs the test'],
      ['new job big-spenders --dir .', 'in this folder'],
    ],
    exits: ['invalid'],
  },
  produce: {
    examples: [
      ['produce --job jobs/engagement.yaml --sort-by-time', 'the sample data of a job into its source'],
      [
        'produce --job jobs/engagement.yaml --brokers localhost:9092 --topic events --rate 1000',
        'into a topic, a thousand events a second',
      ],
      [
        'produce clicks.csv.gz --log .millrace/log --topic events -m event_id=#row -m person=user_id -m name=event -m occurred_at=timestamp -m properties.plan=plan',
        'a file of your own',
      ],
    ],
    exits: ['failure', 'invalid', 'unreachable', 'interrupted'],
  },
  'txn list': {
    examples: [
      ['txn list', 'of all jobs, and whatever holds back their topics'],
      ['txn list engagement --idle', 'also ids under which nothing is open'],
    ],
    exits: ['failure', ...asking, 'notFound'],
  },
  'txn abort': {
    examples: [
      ['txn abort millrace/engagement/out', 'what a job that is gone has left open'],
      ['txn abort events-3 --hanging 4711', 'one that no coordinator knows, by the partition that it holds back'],
    ],
    exits: ['failure', ...asking],
  },
  token: {
    examples: [
      [
        'token alice --role operator --out alice.token >> access',
        'for a person; the server has MILLRACE_ACCESS_FILE=access',
      ],
      ['token prometheus --role viewer --out prometheus.token >> access', 'for /metrics'],
    ],
    exits: ['invalid'],
  },
  completion: {
    examples: [
      ['completion bash > /etc/bash_completion.d/millrace', 'for every bash from now on'],
      ['completion zsh > ~/.zfunc/_millrace', 'for zsh'],
      ['completion fish > ~/.config/fish/completions/millrace.fish', 'for fish'],
    ],
    exits: [],
  },
}

/** All commands that do something, each with its path. Hidden ones are left out. */
export function leafCommands(program: Command): readonly { readonly path: string; readonly command: Command }[] {
  const walk = (command: Command, path: string): { path: string; command: Command }[] => {
    const below = visibleCommands(command)
    if (below.length === 0) return [{ path, command }]
    return below.flatMap((child) => walk(child, path === '' ? child.name() : `${path} ${child.name()}`))
  }
  return walk(program, '')
}

/** The commands of a command that help lists. */
export function visibleCommands(command: Command): readonly Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((child) => child.name() !== 'help')
}

/** Adds examples and exit codes to the help of the program and of every command. */
export function teach(program: Command, typed: string): void {
  program.addHelpText('after', `\n${lessonText('', typed)}`)
  for (const { path, command } of leafCommands(program)) {
    if (lessons[path] !== undefined) command.addHelpText('after', `\n${lessonText(path, typed)}`)
  }
}

function lessonText(path: string, typed: string): string {
  const { examples, exits } = lessons[path]!
  const width = Math.max(...examples.map(([line]) => line.length).filter((length) => length <= 60))
  const lines = examples.map(([line, purpose]) =>
    line.length > 60 ? `  # ${purpose}\n  ${typed} ${line}` : `  ${typed} ${line.padEnd(width)}  # ${purpose}`,
  )
  const settings = path === '' ? '\nSettings come from MILLRACE_* variables: docs/reference/configuration.md.\n' : ''
  const codes = exitsOf(exits).map((name) => `  ${String(exitCodes[name]).padEnd(4)} ${exitMeanings[name]}`)
  return `Examples:\n${lines.join('\n')}\n${settings}\nExit codes:\n${codes.join('\n')}`
}

/** Exit codes by number, with those that every command has. */
export function exitsOf(exits: Lesson['exits']): (keyof typeof exitCodes)[] {
  const all = new Set<keyof typeof exitCodes>(['ok', 'usage', ...exits])
  return [...all].sort((a, b) => exitCodes[a] - exitCodes[b])
}
