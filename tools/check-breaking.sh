#!/bin/sh
# Fails when proto/ breaks the wire or the JSON of what is released: against the newest release tag that has protos, else
# against the image proto/baseline.binpb (`buf build -o proto/baseline.binpb`). Offline.
#
# Exit status 77 means skipped: there is nothing yet that could break.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/tools/runtime/node_modules/.bin:$PWD/node_modules/.bin:$PATH"
export PATH
if tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null) && git cat-file -e "$tag:proto" 2>/dev/null; then
  echo "against $tag"
  exec buf breaking --against ".git#tag=$tag"
fi
if [ -f proto/baseline.binpb ]; then
  echo 'against proto/baseline.binpb'
  exec buf breaking --against proto/baseline.binpb
fi
echo 'no release tag with protos and no proto/baseline.binpb: nothing to compare with'
exit 77
