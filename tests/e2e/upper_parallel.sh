#!/usr/bin/env bash
# Many write at once, in folders of their own, in the same package and over the same names, while
# others walk: each finds what it wrote, and the daemon lives.
. "$(dirname "$0")/lib.sh"
start_registry
project writes
mount_it --prefetch=all
cp -a node_modules "$T/pristine"

work() { # TOP WHO: leaves the same below TOP, whoever else is at work
	local mine=$1/.cache/$2 i
	mkdir -p "$mine"
	for i in 1 2 3 4 5 6; do
		cp -a "$T/pristine/written" "$mine/copy.$i"
		mv "$mine/copy.$i" "$mine/moved.$i"
		rm -r "$mine/moved.$i/lib/deep"
		ln "$mine/moved.$i/old.txt" "$mine/moved.$i/linked"
		echo "$2 $i" >>"$1/written/by.$2"
		echo "$2 $i" >>"$mine/moved.$i/lib/a.js"
		# One name that all fight for, replaced whole each time.
		echo "$2 $i" >"$mine/whole"
		mv "$mine/whole" "$1/leaf/whole"
		rm -r "$mine/moved.$((7 - i))" 2>/dev/null || true
	done
	mv "$1/leaf/README.md" "$mine/" 2>/dev/null || true
}
walkers() {
	while [ ! -e "$T/done" ]; do
		find node_modules -printf '%p %s\n' >/dev/null 2>&1 || true
		cat node_modules/leaf/whole >>"$T/seen" 2>/dev/null || true
	done
}

walkers &
walker=$!
writers=()
for who in a b c d; do
	work node_modules $who &
	writers+=($!)
done
for i in 0 1 2 3; do wait "${writers[$i]}" || fail "a writer failed"; done
touch "$T/done"
wait $walker

# The same on a plain copy, one after the other.
mkdir "$T/plain"
cp -a "$T/pristine" "$T/plain/node_modules"
for who in a b c d; do work "$T/plain/node_modules" $who; done

settle() { # what whoever came first or last decides
	[ "$(find "$1" -name README.md -path '*/.cache/?/README.md' | wc -l)" = 1 ] || fail "leaf/README.md was moved to: $(find "$1" -name README.md -path '*/.cache/?/README.md')"
	grep -qxE '[abcd] 6' "$1/leaf/whole" || fail "leaf/whole: $(cat "$1/leaf/whole")"
	rm -f "$1"/.cache/?/README.md "$1/leaf/whole"
}
settle node_modules
settle "$T/plain/node_modules"
[ -z "$(grep -vxE '[abcd] [1-6]' "$T/seen" || true)" ] || fail "somebody saw: $(sort -u "$T/seen")"
"$TREECMP" "$T/plain/node_modules" node_modules || differs "what they left differs"
unmount_it
mount_it
"$TREECMP" "$T/plain/node_modules" node_modules || differs "what they left differs after a new mount"
