#!/usr/bin/env bash
# A changed lock is followed by the next mount; a live mount stays whole, a bad lock changes nothing.
. "$(dirname "$0")/lib.sh"
start_registry
project nested
mount_it --prefetch=all
ls -A node_modules >"$T/listing"
cp package-lock.json "$T/first-lock.json"
cp package.json "$T/first-package.json"

cp "$FIXTURES/projects/cycles/package.json" "$FIXTURES/projects/cycles/package-lock.json" .
walk
[ -e node_modules/needs-leaf2 ] || fail "half of the new lock is shown"
unmount_it
mount_it
same "the next mount" ".package-lock.json cycle-a cycle-b leaf loader needs-leaf1" "$(ls -A node_modules | tr '\n' ' ' | sed 's/ $//')"
same "new tree" '["needs-leaf1@1.0.0","leaf@1.1.0"]' "$(node -p 'JSON.stringify(require("loader"))')"

echo '{ "lockfileVersion": 3, "packages": {' >package-lock.json
walk
unmount_it
fails 1 dxfs mount ./node_modules
grep -q package-lock.json "$T/out" || fail "does not name the lock: $(cat "$T/out")"
same "mounts" 0 "$(mounts)"

# Back to the first: from the store alone, the same tree, a file's time and all.
cp "$T/first-lock.json" package-lock.json
cp "$T/first-package.json" package.json
stop_registry
mount_it
same "back again" "$(cat "$T/listing")" "$(ls -A node_modules)"
walk
same "and its content" "leaf@2.0.0" "$(node -p 'require("needs-leaf2/node_modules/leaf")')"
