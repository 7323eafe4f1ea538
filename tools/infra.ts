/**
 * `node tools/infra.ts up`: starts the broker, the Redis and the PostgreSQL that tests use and keeps them until interrupted.
 *
 * For developers who run single test files or the server itself: the printed lines can be pasted into another shell.
 */
import { BROKERS_ENV, REDIS_ENV, startInfra } from '../test/support/infra.ts'

if (process.argv[2] !== 'up') {
  process.stderr.write('usage: node tools/infra.ts up\n')
  process.exit(2)
}

const infra = await startInfra()
for (const [name, value] of Object.entries(infra.env)) process.stdout.write(`export ${name}=${value}\n`)
process.stdout.write(`export MILLRACE_BROKERS=${infra.env[BROKERS_ENV]}\n`)
process.stdout.write(`export MILLRACE_REDIS=${infra.env[REDIS_ENV]}\n`)
process.stderr.write('all run until you press ctrl-c\n')

const keepAlive = setInterval(() => {}, 60_000)
const end = async (): Promise<void> => {
  clearInterval(keepAlive)
  await infra.stop()
}
process.once('SIGINT', () => void end())
process.once('SIGTERM', () => void end())
