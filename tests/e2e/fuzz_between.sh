#!/usr/bin/env bash
# fuzz_between.sh fresh|again - what opfuzz calls between its rounds (tests/tools/opfuzz.c): the
# project that we stand in, mounted with the upper T/upper, beside its plain copy T/plain. The
# daemon's number goes to T/victim.
set -eu
mount_again() {
	"$DXFS_BIN/dxfs" mount --offline --upper="$T/upper" ./node_modules </dev/null 2>>"$T/mount.log"
	"$DXFS_BIN/dxfs" status --json ./node_modules | grep -oE '"pid": *[0-9]+' | grep -oE '[0-9]+' >"$T/victim"
}

! mountpoint -q ./node_modules && ! grep -q " $PWD/node_modules " /proc/self/mountinfo || "$DXFS_BIN/dxfs" unmount ./node_modules
if [ "$1" = fresh ]; then
	for d in "$T/upper" "$T/plain"; do
		[ ! -d "$d" ] || chmod -R u+rwX "$d"
		rm -rf "$d"
	done
	mkdir "$T/plain"
	cp -a "$T/pristine" "$T/plain/node_modules"
fi
mount_again
