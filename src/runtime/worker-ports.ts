/**
 * The outside world of a real worker thread: brokers, logs, stores, the machine's clock.
 *
 * Owns: choosing the implementation that a definition names. The definitions that arrive here are complete: brokers and
 * paths are filled in by the server (see main). What brokers want of a client comes with the thread, not with a job.
 */
import { openChunkStore } from '../checkpoint/open-store.ts'
import { invariant } from '../core/errors.ts'
import { systemClock, systemRandom, systemScheduler } from '../core/system.ts'
import type { RecordOutput, SingleInput } from '../job/definition.ts'
import type { JobPlan } from '../job/plan.ts'
import type { SinkAccess } from '../sink/access.ts'
import { openKafkaRecordWriter } from '../sink/kafka-sink.ts'
import { LogRecordWriter } from '../sink/log-sink.ts'
import type { RecordWriter } from '../sink/sink.ts'
import { shopEventEncoder } from '../source/generator-events.ts'
import { GeneratorSourceReader, generatorAdvance } from '../source/generator-source.ts'
import type { KafkaSecurity } from '../source/kafka/connection.ts'
import { KafkaReader } from '../source/kafka/kafka-reader.ts'
import { LogSourceReader } from '../source/log-source.ts'
import { SeveralReader } from '../source/several-sources.ts'
import type { SourceReader } from '../source/source.ts'
import type { WorkerPorts } from './ports.ts'
import { loadProgram } from './program-load.ts'
import { openOutboxSink } from './worker-outbox.ts'

const clock = systemClock
const scheduler = systemScheduler
const random = systemRandom

/** The ports of a worker thread whose brokers want `kafka` of their clients, and the servers of sinks `sinks`. */
export function createWorkerPorts(kafka: KafkaSecurity, sinks: SinkAccess): WorkerPorts {
  return {
    clock,
    scheduler,
    random,
    openReader: (plan) => openReader(plan, kafka),
    openWriter: (output, owner) => openWriter(output, owner, kafka),
    openOutboxSink: (output, owner, onEnded) =>
      openOutboxSink(output, owner, { kafka, ...sinks }, { clock, scheduler, random }, onEnded),
    openChunkStore,
    loadProgram,
  }
}

function openReader(plan: JobPlan, kafka: KafkaSecurity): SourceReader {
  const { input } = plan.definition.source
  if (input.kind !== 'several') return openOne(input, kafka)
  return new SeveralReader(input.parts.map((part) => openOne(part.input, kafka)))
}

function openOne(input: SingleInput, kafka: KafkaSecurity): SourceReader {
  switch (input.kind) {
    case 'kafka': {
      const { topic, isolation, skipLost, checkCrcs } = input
      const brokers = brokersOf(input.brokers)
      const options = { brokers, topic, isolation, skipLost, checkCrc: checkCrcs, ...kafka }
      return new KafkaReader(options, { clock, scheduler, random })
    }
    case 'log':
      return new LogSourceReader({ root: input.path, topic: input.topic, clock, scheduler })
    case 'generator': {
      const config = { ...input, advance: generatorAdvance(input.eventsPerSecond) }
      return new GeneratorSourceReader({ config, encode: shopEventEncoder(input.persons), clock, scheduler })
    }
  }
}

function openWriter(output: RecordOutput, owner: string, kafka: KafkaSecurity): RecordWriter {
  if (output.kind === 'kafka') {
    return openKafkaRecordWriter({ brokers: brokersOf(output.brokers), topic: output.topic, clock, ...kafka })
  }
  invariant(output.kind === 'log', `a sink of kind ${output.kind} is written through the outbox only`)
  return new LogRecordWriter({ root: output.path, topic: output.topic, owner, clock, random })
}

function brokersOf(brokers: string): string[] {
  invariant(brokers !== '', 'a definition without brokers reached a worker')
  return brokers.split(',').map((broker) => broker.trim())
}
