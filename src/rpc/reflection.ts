/**
 * Server reflection from the descriptor set that was generated with the code, so that grpcurl and its like need no
 * proto files. Health, which comes from its own package, is added from that package's descriptors.
 */
import { BinaryReader } from '@bufbuild/protobuf/wire'
import type { Server } from '@grpc/grpc-js'
import { ReflectionService } from '@grpc/reflection'
import { service as healthService } from 'grpc-health-check'

/** What ReflectionService reads of a package definition: serialised FileDescriptorProtos. */
type PackageDefinition = ConstructorParameters<typeof ReflectionService>[0]

/** Adds `grpc.reflection.v1` and `v1alpha` to a server. `descriptors` is a serialised FileDescriptorSet. */
export function addReflection(server: Server, descriptors: Uint8Array): void {
  const files = filesOf(descriptors)
  for (const method of Object.values(healthService)) {
    files.push(...method.requestType.fileDescriptorProtos)
  }
  const definition = { files: { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos: files } }
  new ReflectionService(definition as unknown as PackageDefinition).addToServer(server)
}

/** The files of a FileDescriptorSet (`repeated FileDescriptorProto file = 1`), each still serialised. */
function filesOf(descriptors: Uint8Array): Buffer[] {
  const reader = new BinaryReader(descriptors)
  const files: Buffer[] = []
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag()
    if (number === 1 && wireType === 2) files.push(Buffer.from(reader.bytes()))
    else reader.skip(wireType)
  }
  return files
}
