/**
 * Containers for tests: whether a Docker daemon answers, and one server in a container on a fixed host port.
 *
 * A fixed port, not a mapped one: the broker must advertise an address it knows before it starts, and must come back on
 * the same one after a kill.
 */
import { existsSync } from 'node:fs'
import type { StartedTestContainer, WaitStrategy } from 'testcontainers'
import { freePort } from './infra-process.ts'

let daemon: Promise<boolean> | undefined

/** Whether a container runtime answers. Asked once a process; quick when there is no socket at all. */
export function dockerAnswers(): Promise<boolean> {
  daemon ??= ask()
  return daemon
}

async function ask(): Promise<boolean> {
  if (!process.env.DOCKER_HOST && !existsSync('/var/run/docker.sock')) return false
  try {
    const { getContainerRuntimeClient } = await import('testcontainers')
    await getContainerRuntimeClient()
    return true
  } catch {
    return false
  }
}

/** What to run: `command` is told the host port under which clients will reach `containerPort`. */
export interface ContainerSpec {
  readonly image: string
  readonly containerPort: number
  readonly hostPort?: number
  command(hostPort: number): string[]
  readonly env?: Readonly<Record<string, string>>
  wait(): Promise<WaitStrategy>
}

/** A server in a container. */
export interface ContainerServer {
  readonly port: number
  /** Ends and removes the container. Idempotent. */
  stop(): Promise<void>
  /** Kills the server; its data stays for `restart`. */
  kill(): Promise<void>
  /** Starts it again on the same port with the same data; softly stopped before if it still runs. */
  restart(): Promise<void>
}

/** Starts a container and waits until it is ready. */
export async function startContainer(spec: ContainerSpec): Promise<ContainerServer> {
  const { GenericContainer } = await import('testcontainers')
  const port = spec.hostPort ?? (await freePort())
  const container: StartedTestContainer = await new GenericContainer(spec.image)
    .withExposedPorts({ container: spec.containerPort, host: port })
    .withEnvironment({ ...spec.env })
    .withCommand(spec.command(port))
    .withWaitStrategy(await spec.wait())
    .withStartupTimeout(120_000)
    .start()
  let stopped = false
  return {
    port,
    async stop() {
      if (stopped) return
      stopped = true
      await container.stop()
    },
    async kill() {
      await container.stop({ timeout: 0, remove: false, removeVolumes: false })
    },
    async restart() {
      await container.restart({ timeout: 10_000 })
    },
  }
}
