#!/usr/bin/env bash
# --prefetch=all returns when all is here, says what failed, and can be ended while it waits.
. "$(dirname "$0")/lib.sh"
start_registry
project cycles
fault 'match=leaf-1.1.0&kind=status&code=403'
fails 1 mount_it --prefetch=all
grep -q '1 of 5 packages could not be brought; it is mounted all the same, and `dxfs status` says' "$T/out" || fail "$(cat "$T/out")"
same "lines" 1 "$(wc -l <"$T/out")"
same "mounted all the same" 4 "$(status s.packages.local)"
unmount_it
no_faults

ends() { # HOW COMMAND...: while a package does not come
	local mounting rc=0 start
	rm -rf "$T/store"
	fault 'match=leaf-1.1.0&kind=hang'
	mount_it --prefetch=all 2>"$T/said" &
	mounting=$!
	until_true 20 in_flight leaf-1.1.0
	start=$SECONDS
	"${@:2}" || fail "$1: $*"
	wait $mounting || rc=$?
	same "$1: exit status" 1 $rc
	grep -q 'unmounted when 1 of 5 packages had not come yet' "$T/said" || fail "$1: $(cat "$T/said")"
	[ $((SECONDS - start)) -le $PATIENCE ] || fail "$1: took $((SECONDS - start)) s"
	same "$1: mounts" 0 "$(mounts)"
	no_faults
}
others_here() { [ "$(status s.packages.local)" = 4 ]; }
by_unmount() { until_true 20 others_here && unmount_it; }
# shellcheck disable=SC2046
by_signal() {
	local all
	until_true 20 others_here
	all=$(daemons)
	kill -TERM $(status s.pid)
	gone $all
}
ends "dxfs unmount" by_unmount
ends "SIGTERM" by_signal
mount_it --prefetch=all
same "afterwards" 5 "$(status s.packages.local)"
