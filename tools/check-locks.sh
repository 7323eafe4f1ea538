#!/bin/sh
# Fails when a lock file names the host it was resolved from, or lacks integrity: packages come from whatever registry the
# machine is set up with, and are checked by their hash alone.
set -eu
cd "$(dirname "$0")/.."
status=0
for lock in $(git ls-files '*package-lock.json'); do
  if grep -nm 3 -E '"resolved": *"[a-z+]+://' "$lock"; then
    echo "$lock names a host: npm install --package-lock-only under .npmrc's omit-lockfile-registry-resolved" >&2
    status=1
  fi
  if ! node -e '
    const { packages } = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"))
    const bare = Object.entries(packages).filter(([path, p]) => path !== "" && !p.link && !p.integrity).map(([path]) => path)
    if (bare.length > 0) { console.error(`${process.argv[1]}: no integrity for ${bare.join(", ")}`); process.exit(1) }
  ' "$lock"; then status=1; fi
done
for rc in $(git ls-files '*.npmrc' '.npmrc'); do
  if grep -nE '^ *(@[^:]*:)?registry *=' "$rc"; then
    echo "$rc names a registry" >&2
    status=1
  fi
done
exit $status
