/**
 * Tools written in Go, as their users have them: built from the Go module proxy at a pinned version into .cache/go.
 *
 * Owns: building them once. The sums of what is fetched are checked by Go against its checksum database.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheDir } from './infra-process.ts'

const run = promisify(execFile)

/** One tool: the package of its command, and the version that is used. */
export interface GoTool {
  readonly package: string
  readonly version: string
}

/** A command line for gRPC servers that use reflection. */
export const grpcurl: GoTool = { package: 'github.com/fullstorydev/grpcurl/cmd/grpcurl', version: 'v1.9.4' }

/** What container platforms probe gRPC servers with. */
export const grpcHealthProbe: GoTool = { package: 'github.com/grpc-ecosystem/grpc-health-probe', version: 'v0.4.61' }

/** Renders and checks the chart of deploy/kubernetes. */
export const helm: GoTool = { package: 'helm.sh/helm/v3/cmd/helm', version: 'v3.22.0' }

/** Its sources hold what Kubernetes' API servers accept, as OpenAPI. */
export const kubernetesSources: GoTool = { package: 'k8s.io/kubernetes', version: 'v1.37.2' }

/** Its sources hold the definitions of ServiceMonitor and PrometheusRule. */
export const prometheusOperatorSources: GoTool = {
  package: 'github.com/prometheus-operator/prometheus-operator',
  version: 'v0.85.0',
}

/** Where all of it goes. */
const home = join(cacheDir, 'go')

/** Path of a tool's program; builds it the first time, which takes a minute. Throws an error that says what is missing. */
export async function goTool(tool: GoTool): Promise<string> {
  const name = tool.package.slice(tool.package.lastIndexOf('/') + 1)
  const bin = join(home, 'bin', `${name}-${tool.version}`)
  const program = join(bin, name)
  if (existsSync(program)) return program
  mkdirSync(bin, { recursive: true })
  await go(name, tool, ['install', `${tool.package}@${tool.version}`], bin)
  return program
}

/** Folder of the sources of a module; fetches them the first time. Throws an error that says what is missing. */
export async function goSources(module: GoTool): Promise<string> {
  const folder = join(home, 'pkg/mod', `${module.package}@${module.version}`)
  if (existsSync(folder)) return folder
  mkdirSync(home, { recursive: true })
  await go(module.package, module, ['mod', 'download', `${module.package}@${module.version}`], home)
  return folder
}

async function go(name: string, { version }: GoTool, args: readonly string[], bin: string): Promise<void> {
  const env = {
    ...process.env,
    // Where Go's own installer puts it, which not every PATH names.
    PATH: `${process.env.PATH}:/usr/local/go/bin`,
    GOPATH: home,
    GOBIN: bin,
    GOCACHE: join(home, 'build'),
    // Of no module here; and a cache that can be removed like any folder.
    GOWORK: 'off',
    GOFLAGS: '-modcacherw',
    CGO_ENABLED: '0',
  }
  try {
    await run('go', [...args], { cwd: bin, env, maxBuffer: 16 * 1024 * 1024 })
  } catch (cause) {
    const { code, stderr } = cause as { readonly code?: unknown; readonly stderr?: string }
    const why = code === 'ENOENT' ? 'go is not on PATH: install Go 1.26 or later' : (stderr ?? String(cause))
    throw new Error(`${name} ${version} could not be had: ${why}`, { cause })
  }
}
