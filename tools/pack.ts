/**
 * What `npm pack` puts into the package: JavaScript and declarations, because Node strips types from no file below
 * node_modules. A checkout runs its sources, so package.json names those; in the package it names `dist/`.
 *
 *   node tools/pack.ts            before packing (`prepack`): builds dist/ and points package.json at it
 *   node tools/pack.ts restore    after packing (`postpack`): points it back
 */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const manifest = join(root, 'package.json')
const saved = join(root, '.cache/package.checkout.json')

/** Compiles src/ to dist/ and copies what is read beside the code at run time. */
function build(): void {
  rmSync(dist, { recursive: true, force: true })
  const compiled = spawnSync('tsc', ['-p', join(root, 'tools/tsconfig.pack.json')], { stdio: 'inherit', cwd: root })
  if (compiled.error !== undefined) throw compiled.error
  if (compiled.status !== 0) process.exit(compiled.status ?? 1)
  for (const file of globSync('src/**/*.{lua,binpb}', { cwd: root }))
    cpSync(join(root, file), join(dist, file.slice('src/'.length)))
  // The compiler rewrites imports in code, and leaves the sources' extensions in declarations.
  for (const file of globSync('**/*.d.ts', { cwd: dist })) {
    const path = join(dist, file)
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, text.replaceAll(/(from |import |import\()(['"])(\.{1,2}\/[^'"]+)\.ts\2/g, '$1$2$3.js$2'))
  }
  chmodSync(join(dist, 'main.js'), 0o755)
}

/** `./src/x.ts` as the package has it. */
function inPackage(source: string): string {
  return source.replace(/^\.\/src\/(.*)\.ts$/, './dist/$1.js')
}

function pointAtDist(): void {
  mkdirSync(join(root, '.cache'), { recursive: true })
  // After a packing that was interrupted the saved one is the true one.
  if (!existsSync(saved)) cpSync(manifest, saved)
  const {
    scripts: _,
    devDependencies: __,
    ...rest
  } = JSON.parse(readFileSync(saved, 'utf8')) as {
    bin: Record<string, string>
    exports: Record<string, string>
    scripts: unknown
    devDependencies: unknown
  }
  const bin = Object.fromEntries(Object.entries(rest.bin).map(([name, path]) => [name, inPackage(path)]))
  const exports = Object.fromEntries(
    Object.entries(rest.exports).map(([name, path]) => {
      const code = inPackage(path)
      return [name, code === path ? path : { types: code.replace(/\.js$/, '.d.ts'), default: code }]
    }),
  )
  writeFileSync(manifest, `${JSON.stringify({ ...rest, bin, exports }, null, 2)}\n`)
}

if (process.argv[2] === 'restore') {
  if (existsSync(saved)) renameSync(saved, manifest)
} else {
  build()
  pointAtDist()
}
