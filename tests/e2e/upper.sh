#!/usr/bin/env bash
# What is written into a mount is there, at once and after unmounting and mounting, and the packages
# are as they were once it is taken back.
. "$(dirname "$0")/lib.sh"
start_registry
project nested

say() { # what the tree is, in one line a file
	find node_modules -printf '%P %y %m %l\n' | sort
	find node_modules -type f -print0 | sort -z | xargs -0 sha256sum
}

remount() {
	unmount_it
	mount_it
}

mount_it
say >"$T/fresh"

# files that no package has
mkdir -p node_modules/.cache/tool/deep
echo one >node_modules/.cache/tool/a
echo two >node_modules/.cache/tool/deep/b
printf 'three' >>node_modules/.cache/tool/a
ln -s ../tool/a node_modules/.cache/tool/link
same "a file that was written" "$(printf 'one\nthree')" "$(cat node_modules/.cache/tool/a)"
(set -o noclobber && echo no >node_modules/.cache/tool/a) 2>/dev/null && fail "O_EXCL let it through"
same "the link" "$(printf 'one\nthree')" "$(cat node_modules/.cache/tool/link)"
same "size" 9 "$(stat -c %s node_modules/.cache/tool/a)"

# files of packages
ino=$(stat -c %i node_modules/leaf/index.js)
was=$(cat node_modules/leaf/index.js)
echo "// more" >>node_modules/leaf/index.js
same "st_ino over copy-up" "$ino" "$(stat -c %i node_modules/leaf/index.js)"
same "appended" "$was"$'\n'"// more" "$(cat node_modules/leaf/index.js)"
chmod 700 node_modules/leaf/package.json
same "mode" 700 "$(stat -c %a node_modules/leaf/package.json)"
mv node_modules/.package-lock.json node_modules/.moved.json
[ ! -e node_modules/.package-lock.json ] || fail "it is still there"
say >"$T/written"
remount
say | diff "$T/written" - || fail "not the same after mounting again"

# unlinked but open
exec 5<>node_modules/.cache/tool/a
rm node_modules/.cache/tool/a
[ ! -e node_modules/.cache/tool/a ] || fail "still there"
echo more >&5
same "a removed file's links" 0 "$(stat -L -c %h /proc/self/fd/5)"
exec 5<&-

# directories
fails 1 mv node_modules/leaf/. node_modules/.cache/
mv node_modules/.cache/tool node_modules/.cache/other
same "moved with its folder" two "$(cat node_modules/.cache/other/deep/b)"
mv node_modules/leaf node_modules/.cache/leaf # EXDEV, so mv copies
[ -e node_modules/.cache/leaf/package.json ] || fail "mv of a package: it did not arrive"
[ ! -e node_modules/leaf ] || fail "mv of a package: it is still there"
mkdir node_modules/leaf
same "a directory in its place is empty" "" "$(ls -A node_modules/leaf)"
rmdir node_modules/leaf
ln node_modules/.cache/other/deep/b node_modules/.cache/hard
same "two links" 2 "$(stat -c %h node_modules/.cache/other/deep/b)"
say >"$T/written"
remount
say | diff "$T/written" - || fail "not the same after mounting again"

# files of somebody else in root's mount are theirs
if [ "$(id -u)" = 0 ]; then
	mkdir -m 1777 node_modules/.shared
	mkdir -m 2775 node_modules/.group
	chown 0:65534 node_modules/.group
	as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
	(cd node_modules/.shared && as_nobody sh -c 'umask 077; echo theirs >file; mkdir dir; ln -s x link')
	(cd node_modules/.group && as_nobody mkdir dir)
	same "their file" "65534:65534 600" "$(stat -c '%u:%g %a' node_modules/.shared/file)"
	same "their folder" "65534:65534 700" "$(stat -c '%u:%g %a' node_modules/.shared/dir)"
	same "their link" 65534:65534 "$(stat -c %u:%g node_modules/.shared/link)"
	same "a folder in a folder with set-gid" "65534:65534 2755" "$(stat -c '%u:%g %a' node_modules/.group/dir)"
	fails 1 as_nobody rm node_modules/.package-lock.json
	fails 2 as_nobody sh -c 'echo >>node_modules/needs-leaf2/package.json'
fi

# all of it
rm -rf node_modules 2>"$T/out" && fail "rm -rf says that it removed a mount point"
same "what is left" "" "$(ls -A node_modules)"
remount
same "what is left after mounting" "" "$(ls -A node_modules)"
unmount_it
upper=$(echo "$XDG_STATE_HOME"/dxfs/*/upper)
[ -s "$upper/removed" ] || fail "nothing is written down in $upper"
rm -rf "$upper"
mount_it
say | diff "$T/fresh" - || fail "the packages were harmed"
