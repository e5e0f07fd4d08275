#!/usr/bin/env bash
# A daemon killed hard leaves a dead mount; the next mount cleans it up and does not stack.
. "$(dirname "$0")/lib.sh"
start_registry
project nested
mount_it --prefetch=all
victims=$(daemons)
[ -n "$victims" ] || fail "no daemon found"
# shellcheck disable=SC2086
kill -9 $victims
# shellcheck disable=SC2086
gone $victims
fails 1 cat node_modules/leaf/package.json
mount_it
same "mounts" 1 "$(mounts)"
same "afterwards" "leaf@2.0.0" "$(node -p 'require("needs-leaf2/node_modules/leaf")')"

# The same, cleaned up by unmount; and killed in the middle of a download.
# shellcheck disable=SC2046
kill -9 $(daemons)
unmount_it
same "mounts after unmount" 0 "$(mounts)"
rm -rf "$T/store"
mount_it --prefetch=none
fault "match=leaf-1.1.0&kind=rate&bps=20"
cat node_modules/leaf/index.js >/dev/null 2>&1 &
reader=$!
until_true 20 in_flight leaf-1.1.0
# shellcheck disable=SC2046
kill -9 $(daemons)
wait $reader && fail "the reader got an answer"
no_faults
mount_it
same "after a killed download" "leaf@1.1.0" "$(node -p 'require("leaf")')"
[ -z "$(find "$T/store" -name '*.tmp*' -mmin +1)" ] || fail "half a file stays in the store"
