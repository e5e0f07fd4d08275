#!/usr/bin/env bash
# A read-only mount refuses every change, root's too, and loses nothing.
. "$(dirname "$0")/lib.sh"
start_registry
project nested

refused() { # WORDS COMMAND...
	local words=$1
	shift
	fails 1 "$@"
	grep -qi "$words" "$T/out" || fail "'$*' was refused with: $(cat "$T/out")"
}

mode="Read-only file system"
mount_it --read-only
walk
find node_modules -printf '%p %y %m %s\n' | sort >"$T/before"
refused "$mode" touch node_modules/new
refused "$mode" mkdir node_modules/.cache
refused "$mode" mkdir node_modules/leaf/dir
refused "$mode" ln -s x node_modules/leaf/link
refused "$mode" rm -f node_modules/leaf/index.js
refused "$mode" rm -f node_modules/.package-lock.json
refused "$mode" rmdir node_modules/@scope
refused "$mode" mv node_modules/leaf/index.js node_modules/leaf/other.js
refused "$mode" chmod 777 node_modules/leaf/index.js
refused "$mode" truncate -s 0 node_modules/leaf/index.js
refused "$mode" cp /dev/null node_modules/leaf/index.js
rm -rf node_modules >/dev/null 2>&1 && fail "rm -rf says that it did it"
find node_modules -printf '%p %y %m %s\n' | sort | diff "$T/before" - || fail "something changed"
unmount_it
