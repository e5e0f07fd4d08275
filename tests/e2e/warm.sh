#!/usr/bin/env bash
# Once walked and read, a tree costs no messages.
. "$(dirname "$0")/lib.sh"
start_registry
project containers

# How often this machine's caches were emptied on demand; a walk after that is a first one.
dropped() { grep '^drop_' /proc/vmstat || true; }

# no_more WHAT COMMAND...: the second of two runs costs no message. What the daemon still told
# the kernel of packages that have just come, or a machine short of memory, spoils a try; what a
# walk costs each time spoils all six.
no_more() {
	local what=$1 try was before after
	shift
	for try in 1 2 3 4 5 6; do
		was=$(dropped)
		"$@"
		before=$(messages)
		"$@"
		after=$(messages)
		[ "$before" = "$after" ] && break
		[ "$try" -lt 6 ] || [ "$was" = "$(dropped)" ] || skip "the machine's caches are emptied all the time"
	done
	same "$what" "$before" "$after"
}

miss() { ls node_modules/not-there 2>/dev/null || true; }

mount_it --read-only
walk
[ "$(messages)" -gt 100 ] || fail "only $(messages) messages for the first walk: are they counted?"
no_more "messages of a walk after the first, read-only" walk
no_more "messages of a second miss" miss
fails 1 touch node_modules/x
unmount_it

mount_it
walk
no_more "messages of a walk after the second, writable" walk
