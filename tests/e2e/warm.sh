#!/usr/bin/env bash
# Once walked and read, a tree costs no messages.
. "$(dirname "$0")/lib.sh"
start_registry
project containers

# A walk after the machine's caches were emptied is a first one.
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

# A writable mount: the second walk asks for the attributes of what was read, once each, the third
# for nothing; with something written too.
counted() { status "Object.entries(s.messages).filter(([k]) => $1).reduce((a, [, n]) => a + n, 0)"; }
others='!/FORGET|GETATTR/i.test(k)' attributes='/GETATTR/i.test(k)'
mount_it
mkdir node_modules/.cache
for i in 1 2 3 4 5; do echo $i >node_modules/.cache/$i; done
echo changed >>node_modules/tar-many/d1/e1/f1.js
for try in 1 2 3 4 5 6; do # as above; a second walk there is once a mount
	walk
	was=$(dropped) before=$(counted "$others") asked=$(counted "$attributes")
	walk
	after=$(counted "$others") asked=$(($(counted "$attributes") - asked))
	[ "$before" != "$after" ] || break
	[ "$try" -lt 6 ] || [ "$was" = "$(dropped)" ] || skip "the machine's caches are emptied all the time"
	[ "$try" = 6 ] || { unmount_it && mount_it; }
done
same "messages of the second walk that are not for attributes" "$before" "$after"
there=$(find node_modules | wc -l)
[ $asked -le "$there" ] || fail "the second walk asked $asked times for the attributes of $there files and folders"
no_more "messages of a walk after the second, writable" walk
