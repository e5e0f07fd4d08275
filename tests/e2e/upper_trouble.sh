#!/usr/bin/env bash
# An upper that is full, read-only, gone, somebody else's or in use: a clear error, nothing lost.
# Root fills a small file system; others meet the limit on a file's size.
. "$(dirname "$0")/lib.sh"
start_registry
project writes
up=$T/up
mount_up() { dxfs mount --upper="$up" "$@" ./node_modules </dev/null; }
logs() { find "$T/state" -name log -exec cat {} +; }
refuses() { # WORDS: mounting does, with one sentence
	fails 1 dxfs mount --upper="$up" ./node_modules
	grep -qE -- "$1" "$T/out" || fail "no '$1' in: $(cat "$T/out")"
	same "lines" 1 "$(wc -l <"$T/out")"
	same "mounts" 0 "$(mounts_here)"
}
mounts_here() { awk -v m="$PWD/node_modules" '$5 == m' /proc/self/mountinfo | wc -l; }

mount_up --prefetch=all
cp -a node_modules "$T/pristine"
stop_registry

# ---- two mounts, one upper ----

mkdir "$T/second"
cp package.json package-lock.json "$T/second/"
(
	cd "$T/second"
	refuses "$up.*in use"
)
echo here >node_modules/.mine
same "the first one goes on" here "$(cat node_modules/.mine)"
unmount_it

# ---- somebody else's: a project that was deleted and cloned anew ----

mv "$T/writes" "$T/old"
cp -a "$T/old" "$T/writes"
cd "$T/writes"
mount_up 2>"$T/err"
grep -q "$up" "$T/err" || fail "nothing was said: $(cat "$T/err")"
[ ! -e node_modules/.mine ] || fail "another project's writes are shown"
same "they are kept" here "$(find "$T" -maxdepth 6 -path "$up*" -name .mine -exec cat {} +)"
"$TREECMP" "$T/pristine" node_modules
unmount_it
rm -rf "$T/old"

# ---- not ours to write ----

chmod 755 "$up"
chmod 777 "$up"
refuses "$up"
chmod 700 "$up"
echo 'something else' >"$T/identity"
mv "$up/identity" "$T/identity.kept"
mv "$T/identity" "$up/identity"
refuses "$up.*identity|identity.*$up"
mv "$T/identity.kept" "$up/identity"
if [ "$(id -u)" != 0 ]; then
	chmod a-w "$up"
	refuses "cannot write into $up"
	chmod u+w "$up"
fi

# ---- removed while it is mounted ----

mount_up
echo before >node_modules/.before
rm -rf "$up"
fails 1 bash -c 'echo x >node_modules/.new'
fails 1 bash -c 'echo x >>node_modules/leaf/index.js'
grep -qiE 'error|directory' "$T/out" || fail "$(cat "$T/out")"
same "reading goes on" "leaf@1.1.0" "$(node -p 'require("leaf")')"
logs | sees "$up" || fail "the log says nothing: $(logs)"
unmount_it
mount_up
echo after >node_modules/.after
same "and again" after "$(cat node_modules/.after)"
[ ! -e node_modules/.before ] || fail "it came back"
unmount_it

# ---- full ----

if [ "$(id -u)" = 0 ]; then
	mkdir "$T/small"
	mount -t tmpfs -o size=2m,mode=755 none "$T/small"
	small() { # finish, and the file system goes
		local rc=$? left
		set +e
		cd /
		left=$(daemons)
		# shellcheck disable=SC2086
		[ -z "$left" ] || { dxfs unmount "$T/writes/node_modules" && gone $left; }
		umount "$T/small"
		(exit $rc)
		finish
	}
	trap small EXIT
	up=$T/small/up
	mount_up
	words='No space left on device'
	bytes=$((3 << 20))
else
	rm -rf "$up"
	# What the daemon inherits; the writer has none.
	(ulimit -f 1024 && mount_up)
	words='File too large'
	bytes=$((3 << 20))
fi
echo kept >node_modules/leaf/kept.js
fails 1 dd if=/dev/zero of=node_modules/.big bs=64k count=$((bytes / 65536)) status=none
grep -q "$words" "$T/out" || fail "$(cat "$T/out")"
# To change one byte of 3 MB they must be copied: that fails, and the file stays as it was.
before=$(sha256sum <node_modules/written/data/3m.bin)
fails 1 dd if=/dev/zero of=node_modules/written/data/3m.bin bs=1 count=1 conv=notrunc status=none
grep -q "$words" "$T/out" || fail "$(cat "$T/out")"
same "a file that could not be copied" "$before" "$(sha256sum <node_modules/written/data/3m.bin)"
same "what was written before" kept "$(cat node_modules/leaf/kept.js)"
rm node_modules/.big
echo room >node_modules/.room || fail "with room again"
unmount_it
mount_up
same "after a new mount" "kept room" "$(cat node_modules/leaf/kept.js node_modules/.room | tr '\n' ' ' | sed 's/ $//')"
"$TREECMP" "$T/pristine/written" node_modules/written
same "no rest" "" "$(find "$up/tmp" "$up/orphans" -type f)"
unmount_it

# ---- read-only ----

if [ "$(id -u)" = 0 ]; then
	mount_up
	mount -o remount,ro "$T/small"
	fails 1 bash -c 'echo x >node_modules/.new'
	grep -q 'Read-only file system' "$T/out" || fail "$(cat "$T/out")"
	fails 1 rm node_modules/leaf/package.json
	same "reading goes on" "kept" "$(cat node_modules/leaf/kept.js)"
	unmount_it
	# What was written is shown, and nothing can be written.
	mount_up
	same "what was written" "kept" "$(cat node_modules/leaf/kept.js)"
	fails 1 bash -c 'echo x >node_modules/.new'
	grep -q 'Read-only file system' "$T/out" || fail "$(cat "$T/out")"
	unmount_it
	for state in "$T/small/up" "$T/small/none"; do # one that is there, one that cannot be made
		XDG_STATE_HOME=$state fails 1 dxfs mount ./node_modules
		grep -q 'Read-only file system; set $XDG_STATE_HOME to' "$T/out" || fail "$(cat "$T/out")"
	done
	up=$T/small/other
	refuses "$up.*Read-only file system.*--read-only"
	dxfs mount --read-only ./node_modules
	same "as the sentence says" "leaf@1.1.0" "$(node -p 'require("leaf")')"
	unmount_it
fi
