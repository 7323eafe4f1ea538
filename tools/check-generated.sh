#!/bin/sh
# Fails when src/gen is not exactly what proto/ generates: the code is committed, and must not drift. Offline.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
tools/proto.sh "$out"
if ! diff -r "$out/src/gen" src/gen; then
  echo 'src/gen is not what proto/ generates: run `make proto` and commit the result' >&2
  exit 1
fi
