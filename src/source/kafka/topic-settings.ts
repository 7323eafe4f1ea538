/**
 * Settings of a topic as its brokers have them: DescribeConfigs 1, the version that Kafka 4 and Redpanda both serve.
 */
import { brokerError } from './errors.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { requireVersions, type WantedVersions } from './protocol.ts'
import type { WireReader, WireWriter } from './wire.ts'

const apis = { describeConfigs: [32, 1] } as const satisfies WantedVersions
const RESOURCE_TOPIC = 2

/** Writes a DescribeConfigs v1 request for some settings of one topic. */
export function writeDescribeTopic(writer: WireWriter, topic: string, names: readonly string[]): void {
  writer.int32(1).int8(RESOURCE_TOPIC).string(topic).int32(names.length)
  for (const name of names) writer.string(name)
  writer.boolean(false)
}

/** A DescribeConfigs v1 response about one topic. */
export interface TopicSettings {
  readonly errorCode: number
  /** By name; a setting that the broker does not know, or does not show, is left out. */
  readonly values: ReadonlyMap<string, string>
}

/** Parses a DescribeConfigs v1 response. */
export function readDescribeTopic(reader: WireReader): TopicSettings {
  reader.int32()
  const resources = reader.array((r) => {
    const errorCode = r.int16()
    r.nullableString()
    r.int8()
    r.string()
    const values = new Map<string, string>()
    for (const [name, value] of r.array(readSetting)) if (value !== null) values.set(name, value)
    return { errorCode, values }
  })
  return resources[0] ?? { errorCode: 0, values: new Map() }
}

function readSetting(reader: WireReader): readonly [string, string | null] {
  const name = reader.string()
  const value = reader.nullableString()
  reader.skip(3)
  reader.array((r) => {
    r.string()
    r.nullableString()
    r.int8()
  })
  return [name, value]
}

/**
 * Asks any broker for settings of a topic. Throws BROKER_ERROR, with what right is missing where that is it, and
 * BROKER_UNREACHABLE.
 */
export async function topicSettings(
  cluster: KafkaCluster,
  topic: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const [key, version] = apis.describeConfigs
  const settings = await cluster.ask((connection) => {
    requireVersions(connection.offered, connection.address, apis)
    const write = (writer: WireWriter): void => writeDescribeTopic(writer, topic, names)
    return connection.request(key, version, false, write, readDescribeTopic)
  })
  if (settings.errorCode !== 0) throw brokerError(settings.errorCode, `DescribeConfigs of topic ${topic}`)
  return settings.values
}
