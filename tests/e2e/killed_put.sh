#!/usr/bin/env bash
# kill -9 while packages are being put: the next mount is whole. And daemons share a store with
# one another and with `dx store verify`, all at once.
. "$(dirname "$0")/lib.sh"
start_registry
project containers
mount_it --prefetch=all
cp -r node_modules "$T/tree"
unmount_it
written() { [ "$(find "$T/store" -name '*.dxp' -o -path '*/tmp/*' -type f | wc -l)" -ge "$1" ]; }
for n in 1 3 5; do
	rm -rf "$T/store"
	mount_it --prefetch=background
	until_true 20 written $n
	# shellcheck disable=SC2046
	kill -9 $(daemons)
	mount_it --prefetch=all 2>/dev/null || fail "after $n files: the next mount"
	diff -r "$T/tree" node_modules || fail "after $n files: wrong bytes"
	same "after $n files: rests" "" "$(find "$T/store/tmp" -type f)"
	dx store verify >"$T/out" 2>&1 || fail "after $n files: $(cat "$T/out")"
	unmount_it
done

rm -rf "$T/store"
cp -a "$T/containers" "$T/second"
jobs=()
for p in containers second; do
	(cd "$T/$p" && mount_it --prefetch=all && diff -r "$T/tree" node_modules) &
	jobs+=($!)
done
for _ in 1 2 3; do
	dx store verify &
	jobs+=($!)
done >"$T/verify" 2>&1
for j in "${jobs[@]}"; do wait "$j" || fail "one of those that share a store: $(cat "$T/verify")"; done
# One of before may need a moment to end.
two_daemons() { [ "$(daemons | wc -l)" = 2 ]; }
until_true 20 two_daemons
dx store verify >"$T/out" || fail "$(cat "$T/out")"
same "blobs, once each" 6 "$(find "$T/store" -name '*.dxp' | grep -vc quarantine)"
same "none in quarantine" 0 "$(find "$T/store/quarantine" -type f 2>/dev/null | wc -l)"
(cd "$T/second" && unmount_it)
diff -r "$T/tree" node_modules || fail "the other's unmount disturbs"
