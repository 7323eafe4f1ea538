#!/bin/sh
# Generates src/gen from proto/: TypeScript by ts-proto, and the descriptor set that reflection and the event projection
# read. Offline. With an argument, writes to DIR/src/gen instead, so that drift can be checked.
#
#   tools/proto.sh [DIR]
set -eu
cd "$(dirname "$0")/.."
out=${1:-.}
PATH="$PWD/tools/runtime/node_modules/.bin:$PWD/node_modules/.bin:$PATH"
export PATH
buf generate --output "$out"
buf build --exclude-source-info --as-file-descriptor-set --output "$out/src/gen/descriptors.binpb"
