#!/usr/bin/env bash
# What npm ci refuses is refused, with a sentence; wrong usage is told apart.
. "$(dirname "$0")/lib.sh"
start_registry
for p in platform-refused lock-missing-entry lock-other-version lock-broken; do
	project $p
	fails 1 dxfs mount ./node_modules
	[ -s "$T/out" ] || fail "$p: no word why"
	same "$p: mounts" 0 "$(mounts)"
	cd "$T"
done
cd platform-refused
fails 1 dxfs mount ./node_modules
grep -q opt-win32 "$T/out" || fail "does not name the package: $(cat "$T/out")"
cd "$T"
fails 2 dxfs mount
fails 2 dxfs mount --no-such-option ./node_modules
fails 2 dxfs no-such-command
for word in install lock export; do
	fails 2 dxfs $word ./node_modules
	grep -q "there is no command '$word'; .dx" "$T/out" || fail "dxfs $word: $(cat "$T/out")"
done
dxfs --help | sees mount || fail "no help"
dxfs --version >/dev/null
mkdir empty
cd empty
fails 1 dxfs mount ./node_modules
