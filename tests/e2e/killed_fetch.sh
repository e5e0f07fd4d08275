#!/usr/bin/env bash
# dx fetch is killed hard at moments that nobody chose, and a second one with it or not. The next one
# completes, what is stored is right, and nothing else stays.
#   FAULTS_KILLS   how often                  (20)
#   FAULTS_SEED    of the moments             (any)
#   FAULTS_OF      see lib_many.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_many.sh"
seed=${FAULTS_SEED:-$((16#$(head -c2 /dev/urandom | od -An -tx1 | tr -d ' ')))}
echo "FAULTS_SEED=$seed"
RANDOM=$seed
many 60
fault 'kind=delay&ms=10'

# How long all of it takes, in microseconds, for the moments to lie within.
now() { echo "${EPOCHREALTIME//[.,]/}"; }
begin=$(now)
dx fetch --json >"$T/json" || fail "the first: $(cat "$T/json")"
takes=$(($(now) - begin)) count=$(field packages)
rm -rf "$T/store"

kills=0 early=0 partly=0
for _ in $(seq "${FAULTS_KILLS:-20}"); do
	moment=$(((RANDOM * 32768 + RANDOM) % takes))
	victims=()
	for ((i = 0; i <= RANDOM % 2; i++)); do
		"$DXFS_BIN/dx" fetch >/dev/null 2>&1 &
		victims+=($!)
	done
	# The moment is the test's input: the only way to it is to let time go by.
	read -rt "$(printf '%d.%06d' $((moment / 1000000)) $((moment % 1000000)))" <>"$T/.never" || true
	kill -9 "${victims[@]}" 2>/dev/null && kills=$((kills + 1))
	wait "${victims[@]}" 2>/dev/null || true
	have=$(blobs)
	[ "$have" -gt 0 ] || early=$((early + 1))
	# The machine is not as busy as it was when the first one was timed.
	[ "$have" -lt "$count" ] || takes=$((takes * 3 / 4))
	[ "$have" -gt 0 ] || takes=$((takes * 5 / 4 + 1000))
	[ "$have" = 0 ] || [ "$have" = "$count" ] || partly=$((partly + 1))
	[ ! -d "$T/store" ] || dx store verify >"$T/out" || fail "after a kill at $moment us: $(cat "$T/out")"
	dx fetch --json >"$T/json" || fail "the next, after a kill at $moment us: $(cat "$T/json")"
	same "the next, after a kill at $moment us: failed" 0 "$(field failed)"
	dx store gc >/dev/null || fail "gc after a kill at $moment us"
	whole "after a kill at $moment us" "$count"
	rm -rf "$T/store"
done
echo "$count packages, at last in some $takes us; $kills kills, $early before the first package, $partly in between"
[ $((partly * 5)) -ge "${FAULTS_KILLS:-20}" ] || fail "only $partly kills came in the middle"
