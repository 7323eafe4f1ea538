/**
 * A broker of its own that wants TLS and a login: Apache Kafka with a SASL_SSL listener beside the plain one.
 *
 * Owns: the listener, one user for each mechanism, and the settings with which Millrace reaches it. Always Apache Kafka from
 * Maven jars: where it can be had is said by broker-kafka.ts.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Broker, startBroker } from './broker.ts'
import type { TestAuthority } from './certificates.ts'
import { freePort } from './infra-process.ts'

/** The mechanisms, each with a user of its own name. */
export const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const

/** The user of every mechanism, and what it logs in with: a text that is found again wherever it leaks. */
export const brokerUser = 'millrace'
export const brokerPassword = 'planted-broker-password'

/** A broker that wants TLS and a login. */
export interface SecureBroker {
  readonly broker: Broker
  /** `host:port` of the plain listener. */
  readonly plain: string
  /** `host:port` of the listener with TLS and SASL. */
  readonly secure: string
  /** `host:port` of the listener that wants a client certificate of the authority, and no login. */
  readonly mutual: string
  /** Settings of Millrace for the listener with TLS and SASL. */
  env(mechanism: (typeof mechanisms)[number]): Record<string, string>
}

/** Starts one whose certificate `authority` signs. */
export async function startSecureBroker(authority: TestAuthority): Promise<SecureBroker> {
  const { cert, key } = authority.issue('broker')
  const keystore = join(authority.folder, 'broker-keystore.pem')
  writeFileSync(keystore, key + cert)
  const [plainPort, securePort, controllerPort] = [await freePort(), await freePort(), await freePort()]
  const mutualPort = await freePort()
  const listeners =
    `PLAINTEXT://127.0.0.1:${plainPort},SECURE://127.0.0.1:${securePort},MUTUAL://127.0.0.1:${mutualPort},` +
    `CONTROLLER://127.0.0.1:${controllerPort}`
  const prefix = 'listener.name.secure'
  const jaas = 'org.apache.kafka.common.security'
  const broker = await startBroker({
    own: true,
    port: plainPort,
    users: ['SCRAM-SHA-256', 'SCRAM-SHA-512'].map(
      (mechanism) => `${mechanism}=[name=${brokerUser},password=${brokerPassword}]`,
    ),
    settings: {
      listeners,
      'advertised.listeners': listeners,
      'controller.quorum.bootstrap.servers': `127.0.0.1:${controllerPort}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,MUTUAL:SSL',
      [`${prefix}.ssl.keystore.type`]: 'PEM',
      [`${prefix}.ssl.keystore.location`]: keystore,
      [`${prefix}.ssl.client.auth`]: 'none',
      'listener.name.mutual.ssl.keystore.type': 'PEM',
      'listener.name.mutual.ssl.keystore.location': keystore,
      'listener.name.mutual.ssl.truststore.type': 'PEM',
      'listener.name.mutual.ssl.truststore.location': authority.caFile,
      'listener.name.mutual.ssl.client.auth': 'required',
      [`${prefix}.sasl.enabled.mechanisms`]: mechanisms.join(','),
      [`${prefix}.plain.sasl.jaas.config`]: `${jaas}.plain.PlainLoginModule required user_${brokerUser}="${brokerPassword}";`,
      [`${prefix}.scram-sha-256.sasl.jaas.config`]: `${jaas}.scram.ScramLoginModule required;`,
      [`${prefix}.scram-sha-512.sasl.jaas.config`]: `${jaas}.scram.ScramLoginModule required;`,
    },
  })
  const plain = `127.0.0.1:${plainPort}`
  const secure = `127.0.0.1:${securePort}`
  const passwordFile = authority.file('broker-password', `${brokerPassword}\n`)
  return {
    broker,
    plain,
    secure,
    mutual: `127.0.0.1:${mutualPort}`,
    env: (mechanism) => ({
      MILLRACE_BROKERS: secure,
      MILLRACE_KAFKA_TLS: 'on',
      MILLRACE_KAFKA_CA: authority.caFile,
      MILLRACE_KAFKA_SASL: mechanism,
      MILLRACE_KAFKA_USER: brokerUser,
      MILLRACE_KAFKA_PASSWORD_FILE: passwordFile,
    }),
  }
}
