#!/usr/bin/env bash
# Many readers of one package are one download; many packages come side by side.
. "$(dirname "$0")/lib.sh"
start_registry
project containers
mount_it --prefetch=none
fault "match=.tgz&kind=delay&ms=300"
forget_requests
readers=()
for _ in $(seq 20); do
	cat node_modules/tar-many/d1/e1/f1.js >/dev/null &
	readers+=($!)
done
for p in gz-members/a.js gz-zeros/a.js gz-none/a.js tar-noend/a.js tar-big/after.js; do
	cat "node_modules/$p" >/dev/null &
	readers+=($!)
done
for r in "${readers[@]}"; do wait "$r" || fail "a reader failed"; done
same "one download each" "gz-members-1.0.0.tgz gz-none-1.0.0.tgz gz-zeros-1.0.0.tgz tar-big-1.0.0.tgz tar-many-1.0.0.tgz tar-noend-1.0.0.tgz" "$(tarballs)"

# Whoever waits for one package does not keep others from what is local.
no_faults
unmount_it
rm -rf "$T/store"
mount_it --prefetch=none
cat node_modules/gz-members/a.js >/dev/null
fault "match=tar-&kind=hang"
readers=()
for p in tar-many/d1/e1/f1.js tar-noend/a.js tar-big/after.js; do
	for _ in $(seq 15); do
		cat "node_modules/$p" >/dev/null 2>&1 &
		readers+=($!)
	done
done
for p in tar-many tar-noend tar-big; do until_true 20 in_flight $p; done
timeout $PATIENCE cat node_modules/gz-members/b.js >/dev/null || fail "45 waiting readers block a local file"
timeout $PATIENCE ls node_modules >/dev/null || fail "45 waiting readers block a listing"
no_faults # ends the hangs: the connections close, and who waited is answered
for r in "${readers[@]}"; do wait "$r" || true; done
