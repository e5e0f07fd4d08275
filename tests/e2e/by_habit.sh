#!/usr/bin/env bash
# What people type without thinking of the mount: each leaves a state that is right, and `dxfs
# reset` brings all back.
. "$(dirname "$0")/lib.sh"
start_registry
project nested
store_whole() { same "the store is whole" 0 "$(dx store verify >"$T/verify" 2>&1; echo $?)"; }
pristine() { "$TREECMP" "$T/pristine" node_modules || fail "$1: the tree is not what it was"; }
worked() { # ticks (of 10 ms) of the processor that the daemon has used
	awk '{ sub(/.*\)/, ""); print $12 + $13 }' "/proc/$(status s.pid)/stat"
}
fastest=1000000
reset_all() { # WHAT: little work, whatever else the machine does; how soon, the best of them all says
	local before start took
	before=$(worked)
	start=$EPOCHREALTIME
	dxfs reset ./node_modules >"$T/reset" 2>&1 || fail "reset after $1: $(cat "$T/reset")"
	took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
	echo "reset after $1: $took ms, $(($(worked) - before)) ticks"
	[ $(($(worked) - before)) -lt 100 ] || fail "reset after $1 took the daemon $(($(worked) - before)) ticks"
	[ $took -gt "$fastest" ] || fastest=$took
	pristine "$1"
}

mount_it --prefetch=all
cp -a node_modules "$T/pristine"
echo precious >node_modules/leaf/index.js
echo kept >not-in-node_modules

# ---- rm -rf ----

fails 1 rm -rf node_modules
same "rm says" "rm: cannot remove 'node_modules': Device or resource busy" "$(cat "$T/out")"
same "empty" "" "$(ls -A node_modules)"
same "still mounted" 1 "$(mounts)"
store_whole
# So it stays after unmount and mount.
unmount_it
mount_it
same "still empty" "" "$(ls -A node_modules)"
reset_all "rm -rf"
fails 1 dxfs reset ./node_modules/leaf

# ---- rm -rf of what is inside, and by pieces ----

rm -rf node_modules/* node_modules/.bin
same "what starts with a dot stays" .package-lock.json "$(ls -A node_modules)"
reset_all "rm -rf node_modules/*"
rm -rf node_modules/leaf
[ ! -e node_modules/leaf ] || fail "a package is still there"
node -e 'require("needs-leaf2")' || fail "others are harmed"
dxfs reset ./node_modules node_modules/leaf
pristine "reset of one package"

# ---- git clean ----

git init -q . && echo node_modules >.gitignore
git -c user.name=t -c user.email=t@example.org add package.json package-lock.json not-in-node_modules .gitignore
mkdir build && touch build/x
git clean -xfd >"$T/clean" 2>&1 && fail "git clean says that it removed the mount"
grep -q 'node_modules' "$T/clean" || fail "git clean: $(cat "$T/clean")"
[ ! -e build ] || fail "git clean did not go on"
same "still mounted" 1 "$(mounts)"
store_whole
reset_all "git clean"

# ---- npm ci, npm install ----

npm ci --ignore-scripts --no-audit --no-fund >"$T/npm" 2>&1 || fail "npm ci: $(cat "$T/npm")"
npm ls --all >"$T/ls" || fail "npm ls after npm ci: $(cat "$T/ls")"
pristine "npm ci"
store_whole
unmount_it
mount_it
pristine "npm ci, mounted anew"
reset_all "npm ci"

npm install --ignore-scripts --no-audit --no-fund bin-one@1.0.0 >"$T/npm" 2>&1 || fail "npm install: $(cat "$T/npm")"
same "installed" one "$(node_modules/.bin/bin-one)"
npm ls --all >"$T/ls" || fail "npm ls after npm install: $(cat "$T/ls")"
unmount_it
mount_it
same "from the new lock" one "$(node_modules/.bin/bin-one)"
npm ls --all >"$T/ls" || fail "npm ls after a new mount: $(cat "$T/ls")"
dxfs reset ./node_modules >"$T/reset" 2>&1 || true
same "out of the store" one "$(node_modules/.bin/bin-one)"
npm uninstall --ignore-scripts --no-audit --no-fund bin-one >"$T/npm" 2>&1 || fail "npm uninstall: $(cat "$T/npm")"
[ ! -e node_modules/bin-one ] || fail "npm uninstall left it"
unmount_it
mount_it
[ ! -e node_modules/bin-one ] || fail "it is back"
npm ls --all >"$T/ls" || fail "npm ls after npm uninstall: $(cat "$T/ls")"
dxfs reset ./node_modules >"$T/reset" 2>&1 || true
pristine "npm uninstall"
[ "$fastest" -lt 1000 ] || fail "no reset took less than $fastest ms"
