#!/usr/bin/env bash
# Whoever lists a directory and reads a file of it is given the files after it unasked, where
# nothing can be written.
. "$(dirname "$0")/lib.sh"
start_registry
project containers
dir=node_modules/tar-many/d0/e0
files=(f0.js f1221.js f407.js f814.js) # as they are listed

reads() { status 's.messages.READ || 0'; }

# cached FILE: the kernel has its bytes (fincore looks without reading).
cached() { [ "$(fincore -bnro RES "$1")" -gt 0 ]; }

mount_it --prefetch=all
same "the files" "${files[*]}" "$(cd "$dir" && echo *)"
before=$(reads)
sum=$(cat "$dir"/* | md5sum)
same "each is asked for where it could be written" 4 $(($(reads) - before))
unmount_it

mount_it --read-only --offline
before=$(reads)
cat "$dir/f0.js" >/dev/null
stat "$dir"/f{1221,407,814}.js >/dev/null
same "one that was read, without a listing" 1 $(($(reads) - before))
ls -l node_modules/tar-many/d1/e1 >/dev/null
cat node_modules/tar-many/d1/e1/f1.js >/dev/null
until_true 20 cached node_modules/tar-many/d1/e1/f815.js
fails 1 cached "$dir/f814.js"
unmount_it

# What a machine short of memory throws out again does not come a second time: then once more.
comes() {
	local end=$((SECONDS + 20))
	until cached "$dir/f407.js" && cached "$dir/f814.js"; do
		[ $SECONDS -lt $end ] || return 1
		read -rt 0.05 <>"$T/.never" || true
	done
}
for try in 1 2 3 4 5; do
	mount_it --read-only --offline
	ls -l "$dir" >/dev/null
	before=$(reads)
	cat "$dir/f0.js" >/dev/null
	if comes; then break; fi
	[ $try != 5 ] || fail "the files after the first do not come"
	unmount_it
done
same "the same bytes" "$sum" "$(cat "$dir"/* | md5sum)"
same "asked for: the first, and the one that its reader might have been asking for" 2 $(($(reads) - before))
