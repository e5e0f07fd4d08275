#!/usr/bin/env bash
# A listing gives the kernel names only, then attributes of directories for who walks, and of all
# for who looks at files.
. "$(dirname "$0")/lib.sh"
start_registry
project containers
dir=node_modules/tar-many

counted() { status "s.messages.$1 || 0"; }
names() { find "$dir" -type f | wc -l; }
# looked_up WHAT EXPECTED: so many LOOKUPs there were by now.
looked_up() {
	local count
	count=$(counted LOOKUP)
	[ "$count" = "$2" ] || differs "$1: expected $2, got $count"
}
looks() { find "$dir" -type f -newermt 1970-01-02 | wc -l; }

for mode in --read-only ''; do
	# shellcheck disable=SC2086 # no mode is no argument
	mount_it $mode --prefetch=all
	ls node_modules >/dev/null
	before=$(counted LOOKUP)
	ls -d "$dir" >/dev/null
	looked_up "look-ups of one of those listed, ${mode:-writable}" $((before + 1))
	files=$(names) before=$(counted LOOKUP)
	[ "$files" -gt 500 ] || fail "only $files files"
	same "the files once more, by name" "$files" "$(names)"
	looked_up "look-ups of who wants names, ${mode:-writable}" "$before"
	file=$(find "$dir" -type f -name 'f1*' -print -quit)
	ls -l "$file" >/dev/null
	looked_up "look-ups of one file of those, ${mode:-writable}" $((before + 1))
	unmount_it

	# shellcheck disable=SC2086
	mount_it $mode --prefetch=all
	before=$(counted LOOKUP)
	same "files that were looked at" "$files" "$(looks)"
	asked=$(($(counted LOOKUP) - before))
	[ $asked -lt $((files / 10)) ] || differs "$asked look-ups of who looks at $files files, ${mode:-writable}"
	unmount_it
done

# What a listing did not give has no less of what was written.
mount_it
file=$(find "$dir" -type f -print -quit)
names >/dev/null
echo more >>"$file"
same "its last line" more "$(tail -n 1 "$file")"
rm "$file"
same "files without it" $((files - 1)) "$(names)"
unmount_it
mount_it
same "files without it, mounted anew" $((files - 1)) "$(looks)"
fails 1 test -e "$file"
