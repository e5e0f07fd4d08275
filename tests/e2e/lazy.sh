#!/usr/bin/env bash
# Nothing is fetched before it is needed, and then only what is needed.
. "$(dirname "$0")/lib.sh"
start_registry
project cycles
mount_it --prefetch=none

forget_requests
ls node_modules >/dev/null
ls -la node_modules node_modules/.bin >/dev/null 2>&1 || true
for name in nothing @scope leaf2 package.json .bin/nothing; do
	[ ! -e "node_modules/$name" ] || fail "node_modules/$name is there"
done
stat node_modules/leaf node_modules/cycle-a >/dev/null
cat node_modules/.package-lock.json >/dev/null
same "asked for by listing and missing" "" "$(tarballs)"

node -e 'require("loader")'
same "require of one" "leaf-1.1.0.tgz loader-1.0.0.tgz needs-leaf1-1.0.0.tgz" "$(tarballs)"
forget_requests
node -e 'require("loader"); require("needs-leaf1")'
same "the second time" "" "$(tarballs)"
same "local packages" 3 "$(status s.packages.local)"
same "all packages" 5 "$(status s.packages.total)"
same "not safe offline" false "$(status s.offline_safe)"

cat node_modules/cycle-a/index.js >/dev/null
same "one more" "cycle-a-1.0.0.tgz" "$(tarballs)"
unmount_it
mount_it --prefetch=none
forget_requests
node -e 'require("loader"); require("cycle-a/package.json")'
same "after a new mount" "" "$(tarballs)"
