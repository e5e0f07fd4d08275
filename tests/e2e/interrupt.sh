#!/usr/bin/env bash
# Whoever waits for a package can leave; a signal that is handled does not disturb him.
. "$(dirname "$0")/lib.sh"
start_registry
project cycles
mount_it --prefetch=none
fault "match=leaf-1.1.0&kind=hang"
for signal in INT TERM KILL; do
	# A shell without job control starts background programs with SIGINT ignored.
	env --default-signal=INT cat node_modules/leaf/index.js >/dev/null 2>&1 &
	reader=$!
	until_true 20 in_flight leaf-1.1.0
	kill -$signal $reader
	timeout $PATIENCE tail --pid=$reader -f /dev/null || fail "SIG$signal does not end a waiting reader"
	wait $reader && fail "SIG$signal: the reader says it read"
done
no_faults
until_true 40 cat node_modules/leaf/index.js
same "afterwards" "leaf@1.1.0" "$(node -p 'require("leaf")')"
