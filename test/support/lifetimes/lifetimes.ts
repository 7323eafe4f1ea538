/**
 * The Python package lifetimes as an oracle of customer lifetime value, and the purchases of CDNOW.
 *
 * Owns: a virtual environment in .cache/lifetimes with pinned packages from the Python index, made once (fifteen
 * seconds), and one run of oracle.py (three). Python 3.10 to 3.12 is wanted: numpy 1 has no builds for later ones.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import type { PeriodPurchase } from '../../../src/metrics/purchase-statistics.ts'
import { aptInstall } from '../apt.ts'
import { cacheDir, projectRoot } from '../infra-process.ts'

const run = promisify(execFile)
const home = join(cacheDir, 'lifetimes')
const python = join(home, 'bin/python')
const requirements = join(import.meta.dirname, 'requirements.txt')
const pythons = ['python3.12', 'python3.11', 'python3.10', 'python3'] as const

/** Where the purchases are. */
export const cdnowPath: string = join(projectRoot, 'jobs/data/cdnow_master.txt.gz')

/** A fit by lifetimes. */
export interface OracleFit {
  readonly params: Readonly<Record<string, number>>
  readonly standardErrors: Readonly<Record<string, number>>
  /** A person, with time in units of the greatest age. */
  readonly meanNegativeLogLikelihood: number
}

/** Statistics of customers, a column each. */
export interface OracleCustomers {
  readonly frequency: readonly number[]
  readonly recency: readonly number[]
  readonly age: readonly number[]
  readonly monetaryValue: readonly number[]
}

/** What oracle.py writes. Columns are in the order of `customers.id`. */
export interface LifetimesOracle {
  readonly transactions: number
  readonly dollars: number
  readonly customers: OracleCustomers & { readonly id: readonly string[] }
  readonly purchases: OracleFit
  readonly spend: OracleFit
  readonly purchasesPenalized: OracleFit
  readonly spendPenalized: OracleFit
  readonly probabilityAlive: readonly number[]
  readonly purchases30: readonly number[]
  readonly purchases365: readonly number[]
  readonly purchasesOfNew90: number
  readonly amount: readonly number[]
  readonly value12Months: readonly number[]
  readonly sample: {
    readonly customers: OracleCustomers
    readonly purchases: OracleFit
    readonly spend: OracleFit
  }
}

/** Purchases by customer id; a period is a day since 1970, an amount dollars. */
export function readCdnow(): Map<string, PeriodPurchase[]> {
  const [, ...lines] = cdnowText().trimEnd().split(/\r?\n/)
  const customers = new Map<string, PeriodPurchase[]>()
  for (const line of lines) {
    const [id, date, , dollars] = line.trim().split(/\s+/) as [string, string, string, string]
    const day = Date.parse(`${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}T00:00:00Z`) / 86_400_000
    const purchases = customers.get(id) ?? []
    purchases.push({ period: day, amount: Number(dollars) })
    customers.set(id, purchases)
  }
  return customers
}

/** Sees that the package is there; fetches it the first time. Throws an error that says what is missing. */
export async function installLifetimes(): Promise<void> {
  const stamp = join(home, '.requirements')
  const wanted = readFileSync(requirements, 'utf8')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  rmSync(home, { recursive: true, force: true })
  try {
    await run(await findPython(), ['-m', 'venv', home])
    const install = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary', ':all:', '-r', requirements]
    await run(python, [...install, '--disable-pip-version-check'], { maxBuffer: 16 * 1024 * 1024 })
  } catch (cause) {
    throw new Error(`the Python package lifetimes could not be installed: ${(cause as Error).message}`, { cause })
  }
  writeFileSync(stamp, wanted)
}

/** Runs the package on CDNOW. */
export async function lifetimesOracle(): Promise<LifetimesOracle> {
  await installLifetimes()
  const folder = join(cacheDir, 'run/lifetimes')
  mkdirSync(folder, { recursive: true })
  const input = join(folder, 'cdnow_master.txt')
  const output = join(folder, 'oracle.json')
  writeFileSync(input, cdnowText())
  await run(python, [join(import.meta.dirname, 'oracle.py'), input, output])
  return JSON.parse(readFileSync(output, 'utf8')) as LifetimesOracle
}

function cdnowText(): string {
  return gunzipSync(readFileSync(cdnowPath)).toString('utf8')
}

/** A Python that numpy 1 has builds for, with venv. */
async function findPython(): Promise<string> {
  const found = await firstFit()
  if (found !== undefined) return found
  const missing = aptInstall('python3 with venv', 'python3-venv')
  const installed = missing === '' ? await firstFit() : undefined
  if (installed !== undefined) return installed
  throw new Error(`no Python 3.10 to 3.12 with venv on PATH${missing === '' ? '' : `: ${missing}`}`)
}

async function firstFit(): Promise<string | undefined> {
  const test = 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))'
  for (const name of pythons) {
    if (
      await run(name, ['-c', test]).then(
        () => true,
        () => false,
      )
    )
      return name
  }
  return undefined
}
