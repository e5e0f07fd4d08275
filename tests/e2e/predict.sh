#!/usr/bin/env bash
# What is likely to be touched next comes ahead of it, by the lock and by what was seen elsewhere;
# what was seen is kept in the store; --prefetch=none fetches nothing that is not touched.
. "$(dirname "$0")/lib.sh"
start_registry
project cycles

here() {
	[ "$(status s.packages.local)" -ge "$1" ]
}

mount_it --prefetch=predicted
forget_requests
cat node_modules/loader/package.json >/dev/null
until_true 20 here 2
same "what loader depends on came with it" "loader-1.0.0.tgz needs-leaf1-1.0.0.tgz" "$(tarballs)"
same "made" 1 "$(status s.prediction.made)"
same "used" 0 "$(status s.prediction.used)"
[ "$(status s.prediction.bytes_in_vain)" -gt 0 ] || fail "bytes in vain are not counted"
# Who touches them faster than anybody can think ahead has made no use of it.
cat node_modules/needs-leaf1/package.json >/dev/null
until_true 20 here 3
node -e 'require("loader"); require("cycle-a/package.json")'
same "used after a run" 2 "$(status s.prediction.used)"
unmount_it
[ -s "$DX_STORE/predict" ] || fail "nothing was learned"

# What is touched seconds apart does not belong together, and on a busy machine the above was: once
# more, by one program.
rm "$DX_STORE/predict"
mount_it --prefetch=none
node -e 'for (const p of ["loader", "needs-leaf1", "leaf", "cycle-a"]) require("fs").readFileSync(`node_modules/${p}/package.json`)'
unmount_it

# Elsewhere: an empty store that only knows what was seen.
mkdir -m 700 "$T/other"
cp "$DX_STORE/predict" "$T/other/predict"
export DX_STORE=$T/other
mount_it --prefetch=predicted
until_true 20 here 4
same "before anything is touched" "0 4" "$(status '`${s.prediction.used} ${s.prediction.made}`')"
cat node_modules/loader/package.json >/dev/null
same "used" 1 "$(status s.prediction.used)"
unmount_it

# The same, and nothing is to be fetched ahead.
mkdir -m 700 "$T/none"
cp "$T/store/predict" "$T/none/predict"
export DX_STORE=$T/none
forget_requests
mount_it --prefetch=none
cat node_modules/cycle-b/package.json >/dev/null
unmount_it
same "with --prefetch=none" "cycle-b-1.0.0.tgz" "$(tarballs)"

# A damaged file is a cache that is made anew; walking teaches nothing.
mkdir -m 700 "$T/third"
export DX_STORE=$T/third
echo nonsense >"$DX_STORE/predict"
mount_it --prefetch=none
find node_modules >/dev/null
unmount_it
same "after a walk" nonsense "$(cat "$DX_STORE/predict")"
mount_it --prefetch=none
node -e 'require("loader")'
same "made with --prefetch=none" 0 "$(status s.prediction.made)"
unmount_it
same "made anew" DXGUESS "$(head -c 7 "$DX_STORE/predict")"
