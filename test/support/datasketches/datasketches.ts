/** Runs Apache DataSketches for tests (SketchTool.java beside this file, launched from source; its jars from Maven). */
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheDir } from '../infra-process.ts'

const pom = join(import.meta.dirname, 'pom.xml')
const tool = join(import.meta.dirname, 'SketchTool.java')
const libs = join(cacheDir, 'datasketches/6.2.0')

/** Resolves to the answer of a script of SketchTool's operations. */
export async function sketchTool(script: string): Promise<string> {
  if (!existsSync(join(libs, 'datasketches-java-6.2.0.jar'))) {
    mkdirSync(libs, { recursive: true })
    await promisify(execFile)('mvn', [
      ...['-q', '-B', '-f', pom, 'dependency:copy-dependencies'],
      ...['-DincludeScope=runtime', `-DoutputDirectory=${libs}`],
    ])
  }
  const child = spawn('java', ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp', `${libs}/*`, tool])
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  child.stdin.on('error', () => {})
  child.stdin.end(script)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(`SketchTool ended with ${code}:\n${errors}`)
  return output
}
