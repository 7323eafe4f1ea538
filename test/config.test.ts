import { describe, expect, it } from 'vitest'
import { parseConfig, settings } from '../src/config.ts'
import { MillraceError } from '../src/core/errors.ts'

function violationsOf(env: Record<string, string>): readonly string[] {
  try {
    parseConfig(env)
  } catch (thrown) {
    const error = MillraceError.from(thrown)
    expect(error.code).toBe('CONFIG_INVALID')
    return error.violations.map((violation) => `${violation.field}: ${violation.message}`)
  }
  return []
}

describe('parseConfig', () => {
  it('has a default for everything', () => {
    expect(parseConfig({})).toEqual({
      brokers: '',
      kafkaPrefix: 'millrace',
      redisUrl: '',
      savepointDir: '',
      redisPrefix: 'millrace',
      redisReplicas: 0,
      dataDir: '.millrace',
      instanceId: 'millrace',
      threads: 0,
      grpc: {
        host: '127.0.0.1',
        port: 7420,
        maxMessageBytes: 4 * 1024 * 1024,
        connections: 1000,
        streams: 1000,
        streamsPerConnection: 100,
        deadlineMs: 60_000,
        maxDeadlineMs: 600_000,
      },
      maxDefinitionBytes: 1024 * 1024,
      http: { host: '127.0.0.1', port: 7425 },
      log: { level: 'info', format: 'auto' },
      server: '127.0.0.1:7420',
      security: {
        serve: { caFile: '', certFile: '', keyFile: '' },
        accessFile: '',
        allowPlaintext: false,
        kafka: { tls: false, caFile: '', certFile: '', keyFile: '', sasl: '', user: '', passwordFile: '' },
        redis: { caFile: '', certFile: '', keyFile: '', user: '', passwordFile: '' },
        client: { tls: 'auto', caFile: '', certFile: '', keyFile: '', serverName: '', tokenFile: '' },
      },
      schemas: { folder: 'schemas', registryUrl: '', registryUser: '', registryPasswordFile: '' },
      jobs: {
        folder: 'jobs',
        heapBytes: 2 ** 29,
        silenceMs: 10_000,
        logFolder: '',
        shutdownGraceMs: 20_000,
        threadSilenceMs: 30_000,
        readyLagRecords: 0,
      },
      sinks: {
        openMs: 120_000,
        transactionTimeoutMs: 60_000,
        heldBackMs: 90_000,
        redis: { url: '', user: '', passwordFile: '', caFile: '', certFile: '', keyFile: '' },
        postgres: { url: '', user: 'millrace', passwordFile: '', tls: false, caFile: '', certFile: '', keyFile: '' },
        http: { hosts: '', tokenFolder: '' },
      },
    })
  })

  it('takes an empty variable for unset and trims the rest', () => {
    const config = parseConfig({ MILLRACE_THREADS: '', MILLRACE_BROKERS: ' a:9092,b:9092 ' })
    expect(config.threads).toBe(0)
    expect(config.brokers).toBe('a:9092,b:9092')
  })

  it('reports all mistakes at once', () => {
    const wrong = violationsOf({
      MILLRACE_THREADS: 'many',
      MILLRACE_GRPC_PORT: '70000',
      MILLRACE_LOG_LEVEL: 'loud',
      MILLRACE_BROKERS: 'localhost',
      MILLRACE_GRPC_MAX_MESSAGE: '3 MB',
    })
    expect(wrong).toHaveLength(5)
    expect(wrong[0]).toContain('MILLRACE_BROKERS')
  })

  it('refuses a name that is nearly one, and leaves others alone', () => {
    expect(violationsOf({ MILLRACE_BROKER: 'a:9092' })).toEqual([
      'MILLRACE_BROKER: is not a setting; did you mean MILLRACE_BROKERS?',
    ])
    expect(violationsOf({ MILLRACE_TEST_BROKERS: 'a:9092', MILLRACE_WHATEVER: '1' })).toEqual([])
  })

  it('has a default that passes its own check, for every setting', () => {
    for (const setting of Object.values(settings)) {
      expect('value' in setting.parse(setting.fallback), setting.name).toBe(true)
    }
  })
})
