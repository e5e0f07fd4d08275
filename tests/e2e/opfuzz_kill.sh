#!/usr/bin/env bash
# The daemon is killed at random moments while somebody writes: the next mount shows each operation
# done or not begun. SEED, KILLS: by hand, others than these.
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
start_registry
project writes
mount_it --prefetch=all --upper="$T/upper"
cp -a node_modules "$T/pristine"
stop_registry
"$OPFUZZ" --seed="${SEED:-1}" --kills="${KILLS:-100}" --victim="$T/victim" --between="bash $here/fuzz_between.sh" node_modules "$T/plain/node_modules" ||
	fail "an operation was neither done nor not begun"
