/**
 * What Node has compiled of Millrace's sources, for the processes of a bench: those of users run compiled JavaScript.
 *
 * It matters beyond the start. Node strips types in the thread that loads a module, with a WebAssembly module whose memory
 * grows, which detaches a buffer; from then on the thread checks at every access to a typed array whether its buffer is
 * detached, for as long as it lives (docs/decisions/0029). A thread that finds its modules in Node's compile cache does not.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

/** The environment that makes Node use its cache in the checkout, the same as `bin/millrace`. */
export const compiledEnv = { NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(root, '.cache/compiled') }

/** Compiles all modules, those that are loaded when they are wanted too, where that has not been done. */
export function compileEngine(): void {
  const code = `
    import { globSync } from 'node:fs'
    for (const file of globSync('src/**/*.ts')) if (file !== 'src/main.ts') await import('./' + file)
    process.exit()`
  const env = { ...process.env, ...compiledEnv }
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { cwd: root, env })
  if (status !== 0) throw new Error(`Millrace cannot be compiled:\n${stderr}`)
}
