#!/usr/bin/env bash
# A listing gives the kernel attributes of directories only, until somebody looks at the files.
. "$(dirname "$0")/lib.sh"
start_registry
project containers
dir=node_modules/tar-many

counted() { status "s.messages.$1 || 0"; }
names() { find "$dir" -type f | wc -l; }
looks() { find "$dir" -type f -newermt 1970-01-02 | wc -l; }

for mode in --read-only ''; do
	# shellcheck disable=SC2086 # no mode is no argument
	mount_it $mode --prefetch=all
	files=$(names) before=$(counted LOOKUP)
	[ "$files" -gt 500 ] || fail "only $files files"
	same "the files once more, by name" "$files" "$(names)"
	same "look-ups of who wants names, ${mode:-writable}" "$before" "$(counted LOOKUP)"
	file=$(find "$dir" -type f -name 'f1*' -print -quit)
	ls -l "$file" >/dev/null
	same "look-ups of one file of those, ${mode:-writable}" $((before + 1)) "$(counted LOOKUP)"
	unmount_it

	# shellcheck disable=SC2086
	mount_it $mode --prefetch=all
	before=$(counted LOOKUP)
	same "files that were looked at" "$files" "$(looks)"
	asked=$(($(counted LOOKUP) - before))
	[ $asked -lt 50 ] || fail "$asked look-ups of who looks at $files files, ${mode:-writable}"
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
