#!/usr/bin/env bash
# Whoever lists a directory and reads a file of it is given the files after it unasked; where they
# can be written, never over what somebody writes.
. "$(dirname "$0")/lib.sh"
start_registry
project containers
dir=node_modules/tar-many/d0/e0
files=(f0.js f1221.js f407.js f814.js) # as they are listed

reads() { status 's.messages.READ || 0'; }
opens() { status 's.messages.OPEN || 0'; }

# cached FILE: the kernel has its bytes (fincore looks without reading).
cached() { [ "$(fincore -bnro RES "$1")" -gt 0 ]; }

mount_it --prefetch=all
same "the files" "${files[*]}" "$(cd "$dir" && echo *)"
sum=$(cat "$dir"/* | md5sum)
unmount_it

# comes FILE...: these come into the cache.
comes() {
	local end=$((SECONDS + 20)) file
	for file in "$@"; do
		until cached "$file"; do
			[ $SECONDS -lt $end ] || return 1
			read -rt 0.05 <>"$T/.never" || true
		done
	done
}

# again COMMAND...: until it is content, six times. What a machine short of memory throws out again does
# not come a second time, and is asked for; what the mount itself does spoils all six.
again() {
	local try
	for try in 1 2 3 4 5 6; do
		if "$@" >"$T/said"; then return; fi
		[ "$try" = 6 ] || unmount_it
	done
	differs "$*: $(cat "$T/said")"
}

listed_elsewhere() {
	local before
	mount_it "$mode" --offline
	before=$(reads)
	cat "$dir/f0.js" >/dev/null
	stat "$dir"/f{1221,407,814}.js >/dev/null
	same "one that was read, without a listing ($mode)" 1 $(($(reads) - before))
	ls -l node_modules/tar-many/d1/e1 >/dev/null
	cat node_modules/tar-many/d1/e1/f1.js >/dev/null
	comes node_modules/tar-many/d1/e1/f815.js || return
	fails 1 cached "$dir/f814.js"
}

# Asked for are the first and the one that its reader might have been asking for; opened is the first.
listed_here() {
	local before
	mount_it "$mode" --offline
	ls -l "$dir" >/dev/null
	before=$(reads)
	cat "$dir/f0.js" >/dev/null
	comes "$dir/f407.js" "$dir/f814.js" || return
	same "the same bytes ($mode)" "$sum" "$(cat "$dir"/* | md5sum)"
	echo "2 should be asked for: $(($(reads) - before)); 1 should be opened: $(opens)"
	[ $(($(reads) - before)) = 2 ] && [ "$(opens)" = 1 ]
}

# Older kernels are given nothing where they can write (fs/lease.h).
modes=(--read-only)
printf '6.16\n%s\n' "$(uname -r)" | sort -CV && modes+=(--offline)
for mode in "${modes[@]}"; do
	again listed_elsewhere
	unmount_it
	again listed_here
	unmount_it
done

# What was written is given, not what the package has; what somebody has open for writing is not.
mount_it --offline
echo written >"$dir/f407.js"
unmount_it
beside_a_writer() {
	mount_it --offline
	exec 5>>"$dir/f814.js"
	ls -l "$dir" >/dev/null
	cat "$dir/f0.js" >/dev/null
	[ ${#modes[@]} = 1 ] || comes "$dir/f407.js" || { exec 5>&- && return 1; }
}
again beside_a_writer
same "what was written" written "$(cat "$dir/f407.js")"
unmount_busy() { fails 1 dxfs unmount ./node_modules; }
unmount_busy
exec 5>&-
dxfs reset ./node_modules
unmount_it

# In each directory two files are written, over and over, while they might be given.
cat >"$T/race.js" <<'END'
const fs = require('fs')
const top = 'node_modules/tar-many'
let wrong = 0
for (const d of fs.readdirSync(top).filter(n => /^d\d+$/.test(n))) {
	for (const e of fs.readdirSync(`${top}/${d}`)) {
		const files = fs.readdirSync(`${top}/${d}/${e}`).map(f => `${top}/${d}/${e}/${f}`)
		for (const f of files) fs.lstatSync(f)
		fs.readFileSync(files[0])
		for (const f of files.slice(2)) {
			const mine = Buffer.alloc(8192, f)
			fs.writeFileSync(f, mine, { flag: 'r+' })
			if (fs.readFileSync(f).compare(mine) !== 0) wrong++
		}
	}
}
console.log(wrong)
END
cat >"$T/look.js" <<'END'
const fs = require('fs')
const top = 'node_modules/tar-many'
let wrong = 0
let right = 0
for (const d of fs.readdirSync(top).filter(n => /^d\d+$/.test(n))) {
	for (const e of fs.readdirSync(`${top}/${d}`)) {
		for (const f of fs.readdirSync(`${top}/${d}/${e}`).slice(2).map(f => `${top}/${d}/${e}/${f}`)) {
			if (fs.readFileSync(f).compare(Buffer.alloc(8192, f)) !== 0) wrong++
			else right++
		}
	}
}
console.log(right > 400 ? wrong : `only ${right}`)
END
mount_it --offline
same "files that are not as they were written, at once" 0 "$(node "$T/race.js")"
unmount_it
mount_it --offline
same "files that are not as they were written, later" 0 "$(node "$T/look.js")"
unmount_it
