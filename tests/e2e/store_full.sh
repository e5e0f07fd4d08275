#!/usr/bin/env bash
# No room in the store: EIO and a sentence, nothing half; with room again it goes on.
# Root fills a small file system; others meet the limit on a file's size.
. "$(dirname "$0")/lib.sh"
start_registry
project containers
logs() { find "$T/state" -name log -exec cat {} +; }
if [ "$(id -u)" = 0 ]; then
	mkdir "$T/small"
	mount -t tmpfs -o size=8m,mode=755 none "$T/small"
		room() { # finish, and the file system goes
		local rc=$? left
		set +e
		cd /
		left=$(daemons)
		[ -z "$left" ] || { dxfs unmount "$T/containers/node_modules" && gone $left; }
		umount "$T/small"
		(exit $rc)
		finish
	}
	trap room EXIT
	export DX_STORE=$T/small/store
	words='No space left on device'
	fails 1 dx fetch
	grep -q "^dx fetch: stopped, since there is no room for the store $DX_STORE: [1-9]" "$T/out" || fail "$(cat "$T/out")"
	same "dx fetch: lines" 2 "$(wc -l <"$T/out")"
	fails 1 dx fetch --json
	grep -q '"failed":1,' "$T/out" || fail "$(cat "$T/out")"
	same "no rest of dx fetch" "" "$(find "$DX_STORE/tmp" -type f)"
	rm -rf "$DX_STORE"
	mount_it --prefetch=none
else
	words='File too large'
	(ulimit -f 8192 && mount_it --prefetch=none)
fi
cat node_modules/tar-noend/a.js >/dev/null
fails 1 cat node_modules/tar-big/after.js
grep -q 'Input/output error' "$T/out" || fail "$(cat "$T/out")"
logs | sees -E "error: tar-big@1.0.0: .*(store|temporary file).*$words" || fail "the log: $(logs)"
# What is there is served, what is small still comes, and nothing half lies about.
cat node_modules/tar-noend/b.js >/dev/null
cat node_modules/gz-members/a.js >/dev/null || fail "a small one does not come any more"
same "no rest" "" "$(find "$DX_STORE/tmp" -type f)"
same "whole" 0 "$(dx store verify >/dev/null; echo $?)"
before=$(daemons)
unmount_it
# shellcheck disable=SC2086
gone $before

if [ "$(id -u)" = 0 ]; then
	mount -o remount,size=80m "$T/small"
	mount_it --prefetch=none
	cat node_modules/tar-big/after.js >/dev/null || fail "with room again"
	unmount_it

	# A store that cannot even be made.
	mount -o remount,size=80m "$T/small"
	head -c 100m /dev/zero >"$T/small/filler" 2>/dev/null || true
	fails 1 dxfs mount --store="$T/small/other" ./node_modules
	grep -qE "$T/small/other.*No space left" "$T/out" || fail "$(cat "$T/out")"
	same "lines" 1 "$(wc -l <"$T/out")"
	rm "$T/small/filler"
	# A file system that has become read-only: what is there is served, the rest is refused.
	mount -o remount,ro "$T/small"
	mount_it --prefetch=none
	cat node_modules/tar-big/after.js >/dev/null || fail "read-only, from the store"
	fails 1 cat node_modules/tar-many/d1/e1/f1.js
	logs | sees -E 'error: tar-many@1.0.0: .*(Read-only file system|read-only)' || fail "the log: $(logs | tail -3)"
	unmount_it
else
	mount_it --prefetch=none
	cat node_modules/tar-big/after.js >/dev/null || fail "without the limit"
	unmount_it
	chmod -R a-w "$T/store"
	mount_it --prefetch=none
	cat node_modules/tar-big/after.js >/dev/null || fail "read-only, from the store"
	fails 1 cat node_modules/tar-many/d1/e1/f1.js
	logs | sees -E 'error: tar-many@1.0.0: .*(Permission denied|read-only)' || fail "the log: $(logs | tail -3)"
	unmount_it
	chmod -R u+w "$T/store"
fi
