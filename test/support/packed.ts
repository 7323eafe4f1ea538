/** The npm package as a file, packed from a copy of the checkout. */
import { execFile } from 'node:child_process'
import { cpSync, globSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { projectRoot } from './infra-process.ts'

const packed = ['src', 'jobs', 'proto', 'tools', 'package.json', 'tsconfig.json', 'README.md', 'LICENSE']

/** Settings of npm for tests: no scripts, nothing asked of a registry that the cache has. */
export const npmEnv = {
  npm_config_ignore_scripts: 'true',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_update_notifier: 'false',
  npm_config_prefer_offline: 'true',
}

/** Packs into `folder`, and resolves to the path of the tarball. `work` is an empty folder for the copy. */
export async function packPackage(work: string, folder: string): Promise<string> {
  // A copy: packing points package.json at what it built, and other tests run from the checkout meanwhile.
  for (const name of packed) {
    cpSync(join(projectRoot, name), join(work, name), {
      recursive: true,
      filter: (source) => !source.includes('node_modules'),
    })
  }
  symlinkSync(join(projectRoot, 'node_modules'), join(work, 'node_modules'))
  const pack = promisify(execFile)('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: work })
  await pack.catch(({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }) => {
    // The compiler says on standard output what is wrong with the sources.
    throw new Error(`npm pack failed:\n${stdout}${stderr}`)
  })
  const [tarball] = globSync('millrace-*.tgz', { cwd: folder })
  if (tarball === undefined) throw new Error('npm pack has written no tarball')
  return join(folder, tarball)
}
