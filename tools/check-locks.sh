#!/bin/sh
# Fails when a lock file names the host it was resolved from, lacks integrity or lacks the packages of a platform: packages
# come from whatever registry the machine is set up with, and are checked by their hash alone. Binaries for another
# platform may lack integrity, see complete-lock.ts.
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
    const excused = (p) => p.link || (p.optional && (!p.os.includes(process.platform) || !p.cpu.includes(process.arch) || p.libc?.[0] === "musl"))
    const bare = Object.entries(packages).filter(([path, p]) => path !== "" && !p.integrity && !excused(p)).map(([path]) => path)
    if (bare.length > 0) { console.error(`${process.argv[1]}: no integrity for ${bare.join(", ")}`); process.exit(1) }
  ' "$lock"; then status=1; fi
done
for rc in $(git ls-files '*.npmrc' '.npmrc'); do
  if grep -nE '^ *(@[^:]*:)?registry *=' "$rc"; then
    echo "$rc names a registry" >&2
    status=1
  fi
done
node tools/complete-lock.ts --check || status=1
exit $status
