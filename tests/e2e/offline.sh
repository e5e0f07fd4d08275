#!/usr/bin/env bash
# With everything local no registry is needed; without, --offline says so at once.
. "$(dirname "$0")/lib.sh"
start_registry
project nested

mount_it --prefetch=all
same "safe offline" true "$(status s.offline_safe)"
same "local" "$(status s.packages.total)" "$(status s.packages.local)"
stop_registry
walk
unmount_it
mount_it
walk
same "from the store alone" "leaf@2.0.0" "$(node -p 'require("needs-leaf2/node_modules/leaf")')"
unmount_it

cd "$T"
rm -rf store nested
start_registry
project nested
forget_requests
mount_it --offline
ls node_modules/leaf >/dev/null 2>&1 || true
fails 1 cat node_modules/leaf/index.js
same "asked for" 0 "$(requests)"
same "failed: what somebody asked for, no other" 1 "$(status s.packages.failed)"
ls node_modules >/dev/null
unmount_it
