#!/usr/bin/env bash
# A changed lock is followed behind the live mount: whole, told to the kernel and to watchers; what
# stays keeps its identity; a bad lock changes nothing.
. "$(dirname "$0")/lib.sh"
start_registry
project nested
mount_it --prefetch=all
cp package-lock.json "$T/first-lock.json"
cp package.json "$T/first-package.json"
ls -A node_modules >"$T/listing"
walk
stat -c '%i %Y %n' node_modules/leaf node_modules/leaf/index.js node_modules/needs-leaf2/index.js >"$T/identity"
generation() { status s.generation; }
shows() { [ "$(generation)" -ge "$1" ]; }

# A branch switch: other packages at some places, the same at others. A program goes on reading an
# old file; another one watches.
exec 7<node_modules/needs-leaf2/index.js
node -e '
	const fs = require("fs");
	fs.watch("node_modules/needs-scoped2", () => process.exit(fs.existsSync("node_modules/needs-scoped2") ? 1 : 0));
	fs.writeFileSync(process.argv[1], "");
	setTimeout(() => process.exit(2), 120000)' "$T/watching" &
watcher=$!
until_true 10 test -e "$T/watching"
[ ! -e node_modules/cycle-a ] || fail "there already"
cp "$FIXTURES/projects/cycles/package.json" "$FIXTURES/projects/cycles/package-lock.json" .
until_true 10 shows 1
same "the new tree" ".package-lock.json cycle-a cycle-b leaf loader needs-leaf1" "$(ls -A node_modules | tr '\n' ' ' | sed 's/ $//')"
[ -e node_modules/cycle-a/package.json ] || fail "a name that was looked for in vain is not there now"
[ ! -e node_modules/needs-leaf2 ] || fail "a name that went is still there"
same "it works" '["needs-leaf1@1.0.0","leaf@1.1.0"]' "$(node -p 'JSON.stringify(require("loader"))')"
grep -q needs-leaf2 <&7 || fail "an open file has lost its bytes"
exec 7<&-
wait $watcher || fail "who watches a package has not heard that it went"
same "what stays keeps its identity" "$(head -2 "$T/identity")" "$(stat -c '%i %Y %n' node_modules/leaf node_modules/leaf/index.js)"
all_here() { [ "$(status 's.packages.local === s.packages.total')" = true ]; }
until_true 20 all_here
dx export "$T/export" >/dev/null
"$TREECMP" "$T/export" node_modules

# A lock that is no lock, one that does not fit, one for another machine: what is shown stays.
said() { status 's.errors.map((e) => `${e.package}: ${e.reason}`).join("\n")' >"$T/why" && grep -q "$1" "$T/why"; }
echo '{ "lockfileVersion": 3, "packages": {' >package-lock.json
until_true 10 said JSON
walk
cp "$T/first-lock.json" package-lock.json
until_true 10 said "package.json"
rm package-lock.json
until_true 10 said "no lock"
same "still the second" '["needs-leaf1@1.0.0","leaf@1.1.0"]' "$(node -p 'JSON.stringify(require("loader"))')"
same "generation" 1 "$(generation)"

# Back to the first: the same numbers again.
cp "$T/first-package.json" package.json
cp "$T/first-lock.json" package-lock.json
until_true 10 shows 2
same "back again" "$(cat "$T/listing")" "$(ls -A node_modules)"
no_errors() { [ "$(status 's.errors.length')" = 0 ]; }
until_true 10 no_errors
walk
same "its identity too" "$(cat "$T/identity")" "$(stat -c '%i %Y %n' node_modules/leaf node_modules/leaf/index.js node_modules/needs-leaf2/index.js)"
same "and its content" "leaf@2.0.0" "$(node -p 'require("needs-leaf2/node_modules/leaf")')"

# Folders below which there are packages now are mounted, and unmounted when there are none.
(cd "$FIXTURES/projects/workspaces" && cp -a packages tools "$OLDPWD")
cp "$FIXTURES/projects/workspaces/package.json" "$FIXTURES/projects/workspaces/package-lock.json" .
until_true 10 shows 3
three_mounts() { [ "$(mounts)" -ge 3 ]; }
until_true 10 three_mounts
same "nested" "leaf@2.0.0" "$(cd packages/a && node -p 'require("leaf")')"
same "hoisted" "leaf@1.1.0" "$(cd packages/b && node -p 'require("leaf")')"
cp "$T/first-package.json" package.json
cp "$T/first-lock.json" package-lock.json
until_true 10 shows 4
one_mount() { [ "$(mounts)" -eq 1 ]; }
until_true 10 one_mount
same "no folder is left" "" "$(find packages tools -name node_modules)"

# Readers during twenty switches see the old or the new, never an error of another kind.
(while [ ! -e "$T/enough" ]; do
	cat node_modules/leaf/index.js node_modules/*/package.json >/dev/null 2>"$T/read.log" || true
	grep -v 'No such file' "$T/read.log" >>"$T/odd.log" || true
done) &
reader=$!
for ((i = 5; i < 25; i += 2)); do
	cp "$FIXTURES/projects/cycles/package.json" "$FIXTURES/projects/cycles/package-lock.json" .
	until_true 10 shows $i
	cp "$T/first-package.json" package.json
	cp "$T/first-lock.json" package-lock.json
	until_true 10 shows $((i + 1))
done
touch "$T/enough"
wait $reader
[ ! -s "$T/odd.log" ] || fail "readers saw: $(sort "$T/odd.log" | uniq -c | head -5)"
same "at the end" "$(cat "$T/listing")" "$(ls -A node_modules)"
same "its identity" "$(cat "$T/identity")" "$(stat -c '%i %Y %n' node_modules/leaf node_modules/leaf/index.js node_modules/needs-leaf2/index.js)"
unmount_it

# The next mount: a bad lock is refused by name.
echo '{ "lockfileVersion": 3, "packages": {' >package-lock.json
fails 1 dxfs mount ./node_modules
grep -q package-lock.json "$T/out" || fail "does not name the lock: $(cat "$T/out")"
same "mounts" 0 "$(mounts)"
