/** A client of server reflection that reads the few fields a test asks about, by hand. */
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import { Client, credentials } from '@grpc/grpc-js'

export interface ReflectionAnswer {
  /** Names of services, sorted, without reflection's own. */
  readonly services: readonly string[]
  /** Names of the files that were sent. */
  readonly files: readonly string[]
}

export type ReflectionQuestion = { readonly listServices: string } | { readonly fileContainingSymbol: string }

function* fields(bytes: Uint8Array): Generator<readonly [number, Uint8Array]> {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag()
    if (wireType === 2) yield [number, reader.bytes()]
    else reader.skip(wireType)
  }
}

function parse(bytes: Uint8Array): ReflectionAnswer {
  const text = (part: Uint8Array) => new TextDecoder().decode(part)
  const services: string[] = []
  const files: string[] = []
  for (const [number, part] of fields(bytes)) {
    if (number === 4) {
      for (const [, file] of fields(part)) files.push(text(new Map(fields(file)).get(1) ?? new Uint8Array()))
    } else if (number === 6) {
      for (const [, service] of fields(part)) services.push(text(new Map(fields(service)).get(1) ?? new Uint8Array()))
    } else if (number === 7) {
      throw new Error(`reflection failed: ${text(new Map(fields(part)).get(2) ?? new Uint8Array())}`)
    }
  }
  return { services: services.filter((name) => !name.startsWith('grpc.reflection.')).sort(), files }
}

/** Asks `questions` over one stream; one answer each, in order. */
export function reflect(address: string, questions: readonly ReflectionQuestion[]): Promise<ReflectionAnswer[]> {
  const client = new Client(address, credentials.createInsecure())
  return new Promise<ReflectionAnswer[]>((resolve, reject) => {
    const answers: ReflectionAnswer[] = []
    const stream = client.makeBidiStreamRequest<ReflectionQuestion, ReflectionAnswer>(
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      (question) =>
        Buffer.from(
          ('listServices' in question
            ? new BinaryWriter().uint32(58).string(question.listServices)
            : new BinaryWriter().uint32(34).string(question.fileContainingSymbol)
          ).finish(),
        ),
      parse,
    )
    stream.on('data', (answer: ReflectionAnswer) => answers.push(answer))
    stream.on('error', reject)
    stream.on('end', () => resolve(answers))
    for (const question of questions) stream.write(question)
    stream.end()
  }).finally(() => client.close())
}
