/**
 * `node tools/complete-lock.ts`: adds to package-lock.json the platform packages that npm left out.
 *
 * Tools ship their binaries as optional packages, one for each platform. npm writes only those into a lock file that the
 * registry at hand can give, and a mirror may hold those of its own platform alone; npm 11 then refuses `npm ci` with
 * such a lock, and older ones install a tool without its binary elsewhere. The missing entries follow from what is in
 * the lock: the exact version from the package that wants them, the platform from their name. They carry no integrity,
 * which no one here can know; `npm install --package-lock-only` against a full registry fills it in.
 *
 * To be run after a dependency with platform packages was added or raised. Changes nothing when the lock is complete;
 * with `--check` it changes nothing at all and fails when the lock is not.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

interface Entry {
  version?: string
  integrity?: string
  cpu?: string[]
  dev?: boolean
  libc?: string[]
  optional?: boolean
  optionalDependencies?: Record<string, string>
  os?: string[]
}

interface Lock {
  packages: Record<string, Entry>
}

const systems = ['darwin', 'win32', 'android', 'freebsd', 'openharmony', 'linux', 'aix', 'netbsd', 'openbsd', 'sunos']
const processors = ['x64', 'arm64', 'ia32', 'ppc64', 'riscv64', 's390x', 'loong64', 'mips64el', 'arm']

/** The entry of a platform package, by its name; undefined when the name tells no platform. */
export function platformEntry(name: string, version: string, dev: boolean): Entry | undefined {
  const words = name.split(/[/-]/)
  const os = systems.find((system) => words.includes(system))
  const cpu = processors.find((processor) => words.some((word) => word === processor || word === `${processor}v7`))
  if (os === undefined || cpu === undefined) return undefined
  const libc = words.some((word) => word.startsWith('musl')) ? 'musl' : 'glibc'
  return {
    version,
    cpu: [cpu],
    ...(dev ? { dev } : {}),
    ...(os === 'linux' && (libc === 'musl' || words.includes('gnu')) ? { libc: [libc] } : {}),
    optional: true,
    os: [os],
  }
}

/** Adds what is missing to `lock` and returns the names added, sorted. */
export function completeLock(lock: Lock): string[] {
  const added: string[] = []
  for (const entry of Object.values(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const path = `node_modules/${name}`
      if (lock.packages[path] !== undefined || !/^\d/.test(version)) continue
      const missing = platformEntry(name, version, entry.dev === true)
      if (missing === undefined) continue
      lock.packages[path] = missing
      added.push(name)
    }
  }
  const sorted = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en'))
  lock.packages = Object.fromEntries(sorted)
  return added.sort()
}

if (import.meta.main) {
  const path = fileURLToPath(new URL('../package-lock.json', import.meta.url))
  const lock = JSON.parse(readFileSync(path, 'utf8')) as Lock
  const added = completeLock(lock)
  if (added.length === 0) process.stdout.write('complete\n')
  else if (process.argv.includes('--check')) {
    process.stderr.write(`package-lock.json lacks ${added.join(', ')}: run node tools/complete-lock.ts\n`)
    process.exitCode = 1
  } else {
    writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)
    process.stdout.write(`added ${added.join(', ')}\n`)
  }
}
