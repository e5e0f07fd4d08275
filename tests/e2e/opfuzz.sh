#!/usr/bin/env bash
# Random operations on a mount and on a plain copy of its tree: the same answers, the same trees,
# also after unmount and mount. SEED, SEQUENCES: by hand, others than these.
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
start_registry
project writes
mount_it --prefetch=all --upper="$T/upper"
cp -a node_modules "$T/pristine"
stop_registry
"$OPFUZZ" --seed="${SEED:-1}" --sequences="${SEQUENCES:-500}" --per-round=25 --between="bash $here/fuzz_between.sh" node_modules "$T/plain/node_modules" ||
	differs "the mount is not as a folder"
