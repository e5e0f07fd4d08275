#!/usr/bin/env bash
# timeout: 600
# dx fetch of 400 packages from a registry of which one answer in twenty is wrong, from one that is
# gone for a while, and with a dx fetch that is killed again and again.
#   FAULTS_SEED    the plan                               (any)
#   FAULTS_KILLS   how often it is killed                 (12)
#   FAULTS_OF      a folder with registry/ and project/   (of fixtures/many.js)
. "$(dirname "$0")/lib.sh"
seed=${FAULTS_SEED:-$((16#$(head -c3 /dev/urandom | od -An -tx1 | tr -d ' ')))}
echo "FAULTS_SEED=$seed"
top=$(cd "$(dirname "$0")/../.." && pwd)
unset npm_config_fetch_retries
export npm_config_fetch_timeout=1500
count=0
if [ -n "${FAULTS_OF:-}" ]; then
	mkdir "$T/many"
	cp -r "$FAULTS_OF/project" "$T/many/"
	ln -s "$FAULTS_OF/registry" "$T/many/registry"
else
	node "$top/tests/fixtures/many.js" "$T/many" 400
fi
export FIXTURES=$T/many
start_registry
port=${REG##*:}
sed -i "s|http://registry.test|$REG|" "$T/many/project/package-lock.json"
cd "$T/many/project"
field() { node -p 'JSON.parse(require("fs").readFileSync(0, "utf8"))["'"$1"'"]' <"$T/json"; }
blobs() { { find "$T/store" -name '*.dxp' 2>/dev/null || true; } | wc -l; }
whole() {
	same "$1: blobs" "$count" "$(blobs)"
	same "$1: quarantined" 0 "$(find "$T/store/quarantine" -type f | wc -l)"
	same "$1: rests" "" "$(find "$T/store/tmp" -type f)"
	dx store verify >"$T/out" || fail "$1: $(cat "$T/out")"
}

# One answer in twenty is an error, cut, wrong, or never ends.
fault "kind=chaos&percent=5&seed=$seed"
forget_requests
dx fetch --json >"$T/json" || fail "with faults: $(cat "$T/json")"
count=$(field packages)
same "with faults: fetched" "$count" "$(field fetched)"
[ "$(requests)" -gt "$count" ] || fail "nothing went wrong: $(requests) requests"
[ "$(node -p "$(field seconds) < 90")" = true ] || fail "with faults: $(field seconds) s"
whole "with faults"
no_faults

# Gone in the middle, for three seconds: three events come while nothing else does.
rm -rf "$T/store"
fault "kind=delay&ms=200"
mkfifo "$T/events"
dx fetch --json >"$T/json" 2>"$T/events" &
pid=$!
exec 7<"$T/events"
some() { [ "$(blobs)" -ge 30 ]; }
until_true 20 some
stop_registry
for _ in 1 2 3; do read -r _ <&7; done
[ "$(blobs)" -lt "$count" ] || fail "it was over before the registry was gone"
start_registry --port "$port"
cat <&7 >"$T/err" &
wait $pid || fail "the registry was gone for a while: $(cat "$T/json")"
exec 7<&-
same "the registry was gone: fetched" "$count" "$(field fetched)"
whole "the registry was gone"

# Killed at moments that nobody chose: what has come is whole, and the rest comes.
rm -rf "$T/store"
kills=0
fault "kind=delay&ms=20"
for _ in $(seq "${FAULTS_KILLS:-12}"); do
	"$DXFS_BIN/dx" fetch >/dev/null 2>&1 &
	pid=$!
	before=$(blobs) more=$((RANDOM % 60))
	while [ "$(blobs)" -lt $((before + more)) ] && kill -0 $pid 2>/dev/null; do :; done
	kill -9 $pid 2>/dev/null && kills=$((kills + 1))
	wait $pid 2>/dev/null || true
	dx store verify >"$T/out" || fail "after a kill: $(cat "$T/out")"
	[ "$(blobs)" -lt "$count" ] || rm -rf "$T/store"
done
[ $kills -gt 3 ] || fail "it was killed only $kills times"
no_faults
dx fetch --json >"$T/json" || fail "after kills: $(cat "$T/json")"
same "after kills: failed" 0 "$(field failed)"
whole "after kills"
