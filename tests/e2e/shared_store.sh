#!/usr/bin/env bash
# Two dx fetch and a live mount that bring the same packages into one store at once: each package is
# asked for once, or twice where somebody waits for it, and none is harmed.
. "$(dirname "$0")/lib.sh"
count=200
top=$(cd "$(dirname "$0")/../.." && pwd)
node "$top/tests/fixtures/many.js" "$T/many" $count
export FIXTURES=$T/many
start_registry
sed -i "s|http://registry.test|$REG|" "$T/many/project/package-lock.json"
cp -a "$T/many/project" "$T/many/second"
cd "$T/many/project"
fault "kind=delay&ms=100"
forget_requests
mount_it --prefetch=background
dx fetch >"$T/first" 2>&1 &
first=$!
(cd "$T/many/second" && dx fetch) >"$T/second" 2>&1 &
second=$!
cat node_modules/many-{7,70,170}/lib/file-0.js >/dev/null
wait $first || fail "the first: $(cat "$T/first")"
wait $second || fail "the second: $(cat "$T/second")"
safe() { [ "$(status s.offline_safe)" = true ]; }
until_true 60 safe
walk
unmount_it
curl -sf "$REG/-/log" | sed -nE 's|^GET .*/-/([^ ]*\.tgz) .*|\1|p' | sort | uniq -c >"$T/asked"
same "packages asked for" $count "$(wc -l <"$T/asked")"
[ "$(awk '$1 > 2' "$T/asked" | wc -l)" = 0 ] || fail "asked for more than twice: $(awk '$1 > 2' "$T/asked")"
# Two of the three processes want in the background only, and share; what was demanded may come twice.
[ "$(awk '$1 > 1' "$T/asked" | wc -l)" -le 3 ] || fail "asked for twice: $(awk '$1 > 1' "$T/asked")"
same "blobs" $count "$(find "$T/store" -name '*.dxp' | wc -l)"
dx store verify >"$T/out" || fail "$(cat "$T/out")"
same "quarantined" 0 "$(find "$T/store/quarantine" -type f | wc -l)"
