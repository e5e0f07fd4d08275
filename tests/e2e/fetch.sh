#!/usr/bin/env bash
# dx fetch: says what it did; stops cleanly and goes on; is calm on a terminal; asks nothing offline.
. "$(dirname "$0")/lib.sh"
start_registry
project containers
field() { node -p 'JSON.parse(require("fs").readFileSync(0, "utf8"))["'"$1"'"]' <"$T/json"; }

# Nothing here, and nothing asked.
forget_requests
fails 1 dx fetch --offline
grep -q 'gz-members@1.0.0: not in the store, and the network is not asked (offline)' "$T/out" || fail "$(cat "$T/out")"
same "requests offline" 0 "$(requests)"

# Ctrl-C in the middle: the same status as of a program that it killed, and the rest comes later.
fault "match=tar-&kind=hang"
# (A shell's background jobs ignore SIGINT.)
env --default-signal=INT "$DXFS_BIN/dx" fetch --json >"$T/json" 2>"$T/err" &
pid=$!
three_here() { [ "$(find "$T/store" -name '*.dxp' | wc -l)" = 3 ]; }
until_true 20 three_here
for p in tar-many tar-noend tar-big; do until_true 20 in_flight $p; done
kill -INT $pid
rc=0
wait $pid || rc=$?
same "status of Ctrl-C" 130 $rc
same "interrupted" true "$(field interrupted)"
same "fetched until then" 3 "$(field fetched)"
same "files that were being written" "" "$(find "$T/store/tmp" -type f)"
no_faults
forget_requests
dx fetch --json >"$T/json"
same "the rest" "6 3 3 0 false" "$(field packages) $(field here) $(field fetched) $(field failed) $(field interrupted)"
same "asked for" "tar-big-1.0.0.tgz tar-many-1.0.0.tgz tar-noend-1.0.0.tgz" "$(tarballs)"
dx store verify >/dev/null
forget_requests
dx fetch --offline | sees '^6 packages: 6 here already, 0 fetched .*, 0 failed$' || fail "the summary: $(dx fetch --offline)"
same "requests once all is here" 0 "$(requests)"

# gc keeps what the project needs, however old it is.
find "$T/store" -name '*.dxp' | wc -l >"$T/before"
dx store gc >/dev/null
same "blobs after gc" "$(cat "$T/before")" "$(find "$T/store" -name '*.dxp' | wc -l)"
[ -n "$(ls "$T"/store/roots/fetch-*)" ] || fail "no root"

# A failure is told with its reason, the others come.
rm -rf "$T/store"
fault "match=tar-big&kind=status&code=403"
fails 1 dx fetch
grep -q '^dx fetch: tar-big@1.0.0: .*tar-big-1.0.0.tgz: 403' "$T/out" || fail "$(cat "$T/out")"
grep -q '^6 packages: 0 here already, 5 fetched .*, 1 failed$' "$T/out" || fail "$(cat "$T/out")"
fails 1 dx fetch --json
grep -q '"event":"failed","reason":"tar-big@1.0.0: ' "$T/out" || fail "$(cat "$T/out")"
no_faults

# On a terminal one line, which goes; the summary is the last thing there.
rm -rf "$T/store"
TERM=xterm script -qec "stty cols 40; '$DXFS_BIN/dx' fetch" /dev/null >"$T/tty" </dev/null
node -e '
	const text = require("fs").readFileSync(process.argv[1], "latin1");
	const [line, end] = [text.slice(0, text.lastIndexOf("\x1b[K")), text.slice(text.lastIndexOf("\x1b[K") + 3)];
	for (const shown of line.split("\r")) {
		const plain = shown.replace(/\x1b\[K/g, "");
		if (/[^ -~]/.test(plain)) throw new Error("not plain: " + JSON.stringify(plain));
		if (plain.length > 39) throw new Error("too wide: " + JSON.stringify(plain));
	}
	if (!/^\r?6 packages: 0 here already, 6 fetched .*, 0 failed\r\n$/.test(end)) throw new Error("the end: " + JSON.stringify(end));' "$T/tty" ||
	fail "on a terminal"
rm -rf "$T/store"
TERM=dumb script -qec "'$DXFS_BIN/dx' fetch" /dev/null >"$T/tty" </dev/null
! grep -q $'\x1b' "$T/tty" || fail "escapes on a dumb terminal"
