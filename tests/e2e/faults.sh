#!/usr/bin/env bash
# dx fetch of 400 packages from a registry of which one answer in twenty is an error, cut, wrong, or
# never ends.
#   FAULTS_SEED    the plan                   (any)
#   FAULTS_OF      see lib_many.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_many.sh"
seed=${FAULTS_SEED:-$((16#$(head -c3 /dev/urandom | od -An -tx1 | tr -d ' ')))}
echo "FAULTS_SEED=$seed"
many 400
# What never ends is given up soon; but an answer that a busy machine delays costs a try, too.
export npm_config_fetch_timeout=5000 npm_config_fetch_retries=8
fault "kind=chaos&percent=5&seed=$seed"
forget_requests
dx fetch --json >"$T/json" || fail "with faults: $(cat "$T/json")"
count=$(field packages)
same "fetched" "$count" "$(field fetched)"
[ "$(requests)" -gt "$count" ] || fail "nothing went wrong: $(requests) requests"
[ "$(node -p "$(field seconds) < 300")" = true ] || fail "it took $(field seconds) s"
whole "with faults" "$count"
echo "$count packages in $(field seconds) s, $(requests) requests"
