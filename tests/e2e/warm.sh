#!/usr/bin/env bash
# Once walked and read, a tree costs no messages.
. "$(dirname "$0")/lib.sh"
start_registry
project containers

mount_it --read-only
walk
before=$(messages)
[ "$before" -gt 100 ] || fail "only $before messages for the first walk: are they counted?"
walk
same "messages of the second walk, read-only" "$before" "$(messages)"
ls node_modules/not-there 2>/dev/null || true
missed=$(messages)
ls node_modules/not-there 2>/dev/null || true
same "messages of a second miss" "$missed" "$(messages)"
fails 1 touch node_modules/x
unmount_it

mount_it
walk
walk
before=$(messages)
walk
same "messages of the third walk, writable" "$before" "$(messages)"
