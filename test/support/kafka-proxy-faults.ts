/**
 * Faults of single requests, for the proxy in front of a broker: which request, and what becomes of it.
 *
 * Owns: the answers that the proxy gives itself, in the versions that Millrace speaks. A fault happens once.
 */
import { transactionApis } from '../../src/source/kafka/transaction-protocol.ts'
import { WireReader, WireWriter } from '../../src/source/kafka/wire.ts'

/** The requests of a transaction, by number. */
export const faultApis = {
  produce: transactionApis.produce[0],
  findCoordinator: 10,
  initProducerId: transactionApis.initProducerId[0],
  addPartitionsToTxn: transactionApis.addPartitionsToTxn[0],
  endTxn: transactionApis.endTxn[0],
} as const

/** Something that goes wrong with one request. */
export interface KafkaFault {
  readonly api: keyof typeof faultApis
  /**
   * `cut-before`: the connection ends, the broker never hears of the request. `cut-sent`: the broker gets it and the
   * connection ends at once. `cut-after`: the connection ends when the broker has answered. `answer`: the proxy answers
   * with `errorCode`, the broker hears nothing. `answer-after`: it does so when the broker has answered. `call`: `run` is
   * awaited before the request goes on.
   */
  readonly happens: 'cut-before' | 'cut-sent' | 'cut-after' | 'answer' | 'answer-after' | 'call'
  readonly errorCode?: number
  readonly run?: () => Promise<void>
  /** So many requests of the API pass first. */
  skip?: number
}

/** Takes the fault that hits this request from `faults`, if there is one. */
export function takeFault(faults: KafkaFault[], apiKey: number): KafkaFault | undefined {
  const at = faults.findIndex(({ api }) => faultApis[api] === apiKey)
  const fault = faults[at]
  if (fault === undefined) return undefined
  if ((fault.skip ?? 0) > 0) {
    fault.skip = fault.skip! - 1
    return undefined
  }
  faults.splice(at, 1)
  return fault
}

/** The response frame, length and all, that says `errorCode` to the request in `frame`. */
export function errorAnswer(frame: Buffer, errorCode: number): Buffer {
  const apiKey = frame.readInt16BE(4)
  const request = new WireReader(frame.subarray(12))
  request.nullableString()
  const writer = new WireWriter().int32(0).raw(frame.subarray(8, 12))
  switch (apiKey) {
    case faultApis.findCoordinator:
      writer.int32(0).int16(errorCode).string(null).int32(-1).string('').int32(-1)
      break
    case faultApis.initProducerId:
      writer.int32(0).int16(errorCode).int64(-1).int16(-1)
      break
    case faultApis.endTxn:
      writer.int32(0).int16(errorCode)
      break
    case faultApis.addPartitionsToTxn:
      writer.int32(0)
      request.string()
      request.skip(10)
      echoTopics(request, writer, errorCode, () => {})
      break
    case faultApis.produce:
      request.nullableString()
      request.skip(6)
      echoTopics(request, writer, errorCode, (records) => {
        records.skip(records.int32())
        writer.int64(-1).int64(-1).int64(-1)
      })
      writer.int32(0)
      break
  }
  const bytes = Buffer.from(writer.bytes())
  bytes.writeInt32BE(bytes.length - 4, 0)
  return bytes
}

function echoTopics(
  request: WireReader,
  writer: WireWriter,
  errorCode: number,
  rest: (request: WireReader) => void,
): void {
  const topics = request.int32()
  writer.int32(topics)
  for (let t = 0; t < topics; t++) {
    writer.string(request.string())
    const partitions = request.int32()
    writer.int32(partitions)
    for (let p = 0; p < partitions; p++) {
      writer.int32(request.int32()).int16(errorCode)
      rest(request)
    }
  }
}
