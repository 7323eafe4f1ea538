import { Client, credentials, status } from '@grpc/grpc-js'
import { service as healthService } from 'grpc-health-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RpcServer } from '../../src/rpc/server.ts'
import { CliHarness } from '../support/cli.ts'
import { reflect } from '../support/reflect.ts'

let harness: CliHarness
let server: RpcServer

beforeEach(async () => {
  harness = new CliHarness()
  server = await harness.serve()
})

afterEach(() => harness.close())

describe('health and reflection', () => {
  it('serves health by name, following setServing', async () => {
    const health = new Client(server.address, credentials.createInsecure())
    const check = (service: string) =>
      new Promise<string>((resolve, reject) => {
        const { path, requestSerialize, responseDeserialize } = healthService.Check!
        health.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service }, (error, response) => {
          if (error === null) resolve((response as { status: string }).status)
          else reject(error)
        })
      })
    expect(await check('millrace.v1.QueryService')).toBe('NOT_SERVING')
    server.setServing(true)
    expect(await check('')).toBe('SERVING')
    expect(await check('millrace.v1.ControlService')).toBe('SERVING')
    await expect(check('nope')).rejects.toMatchObject({ code: status.NOT_FOUND })
    health.close()
  })

  it('lists services and hands out every file that describes them', async () => {
    const answers = await reflect(server.address, [
      { listServices: '*' },
      { fileContainingSymbol: 'millrace.v1.QueryService' },
      { fileContainingSymbol: 'grpc.health.v1.Health' },
      { fileContainingSymbol: 'millrace.v1.JobDefinition' },
    ])
    expect(answers[0]?.services).toEqual([
      'grpc.health.v1.Health',
      'millrace.v1.ControlService',
      'millrace.v1.QueryService',
    ])
    expect(answers[1]?.files).toEqual(
      expect.arrayContaining([
        'millrace/v1/query.proto',
        'millrace/v1/metric.proto',
        'google/protobuf/timestamp.proto',
      ]),
    )
    expect(answers[2]?.files).toHaveLength(1)
    expect(answers[3]?.files).toEqual(expect.arrayContaining(['millrace/v1/job.proto', 'google/protobuf/struct.proto']))
  })
})
