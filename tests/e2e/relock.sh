#!/usr/bin/env bash
# A changed lock is followed by a live mount; open files keep their bytes, a bad lock does nothing.
. "$(dirname "$0")/lib.sh"
start_registry
project nested
mount_it --prefetch=none
generation() { [ "$(status s.generation)" -ge "$1" ]; }
walk
ls -A node_modules >"$T/listing"
[ ! -e node_modules/loader ] || fail "loader is there already"
exec 3<node_modules/needs-leaf2/node_modules/leaf/index.js

cp package-lock.json "$T/first.json"
cp package.json "$T/first-package.json"
cp "$FIXTURES/projects/cycles/package.json" package.json
cp "$FIXTURES/projects/cycles/package-lock.json" .new && mv .new package-lock.json
until_true 20 generation 1
same "listing" ".package-lock.json cycle-a cycle-b leaf loader needs-leaf1" "$(ls -A node_modules | tr '\n' ' ' | sed 's/ $//')"
[ -e node_modules/loader/main.js ] || fail "a name that was looked for in vain stays missing"
[ ! -e node_modules/needs-leaf2 ] || fail "what went is still there"
same "new tree" '["needs-leaf1@1.0.0","leaf@1.1.0"]' "$(node -p 'JSON.stringify(require("loader"))')"
same "an open file" "module.exports = 'leaf@2.0.0';" "$(cat <&3)"
exec 3<&-

echo '{ "lockfileVersion": 3, "packages": {' >.new && mv .new package-lock.json
until_true 20 grep -rqs package-lock "$T"/state/dxfs/*/log
same "with a broken lock" '["needs-leaf1@1.0.0","leaf@1.1.0"]' "$(node -p 'JSON.stringify(require("loader"))')"

cp "$T/first-package.json" package.json
cp "$T/first.json" .new && mv .new package-lock.json
until_true 20 generation 2
same "back again" "$(cat "$T/listing")" "$(ls -A node_modules)"
same "and the old one" "leaf@2.0.0" "$(node -p 'require("needs-leaf2/node_modules/leaf")')"
