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
dx fetch --json >"$T/json" || fail "the first: $(cat "$T/json")"
count=$(field packages)
rm -rf "$T/store"

# The kill comes when so many packages are stored; what lies between two of them is left to chance.
stored() { [ "$(blobs)" -ge "$1" ]; }
kills=${FAULTS_KILLS:-20} early=0 partly=0
for ((kill = 0; kill < kills; kill++)); do
	# After so many answers none comes any more, so that it cannot be too late; two fetches may ask
	# for a package twice. In every fourth round all come.
	answers=$((2 + (RANDOM * 32768 + RANDOM) % (count - 2)))
	after=$(((RANDOM * 32768 + RANDOM) % (answers / 2 + 1)))
	fault 'kind=delay&ms=10'
	[ $((kill % 4)) = 3 ] || fault "kind=hang&skip=$answers"
	victims=()
	for ((i = 0; i <= RANDOM % 2; i++)); do
		"$DXFS_BIN/dx" fetch >/dev/null 2>&1 &
		victims+=($!)
	done
	until_true 60 stored $after
	read -rt "0.0$((RANDOM % 10))" <>"$T/.never" || true
	kill -9 "${victims[@]}" 2>/dev/null || [ $((kill % 4)) = 3 ] || fail "round $kill: it ended without its packages"
	wait "${victims[@]}" 2>/dev/null || true
	no_faults
	have=$(blobs)
	[ "$have" -gt 0 ] || early=$((early + 1))
	[ "$have" = 0 ] || [ "$have" = "$count" ] || partly=$((partly + 1))
	what="round $kill, killed after $have of $count"
	[ "$have" -lt "$count" ] || [ $((kill % 4)) = 3 ] || fail "$what"
	[ ! -d "$T/store" ] || dx store verify >"$T/out" || fail "$what: $(cat "$T/out")"
	dx fetch --json >"$T/json" || fail "the next, $what: $(cat "$T/json")"
	same "the next, $what: failed" 0 "$(field failed)"
	dx store gc >/dev/null || fail "gc, $what"
	whole "$what" "$count"
	rm -rf "$T/store"
done
echo "$count packages; $kills kills, $early before the first package, $partly in between"
[ $partly -gt 0 ] || fail "no kill came in between"
