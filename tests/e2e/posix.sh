#!/usr/bin/env bash
# The claims of posix.data: on this machine's own file system, in a folder made in a mount, and in a
# package's folder.
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
start_registry
project posix
table=$here/posix.data
try() { # WHERE DIR
	"$POSIX" "$2" "$table" >"$T/result" || fail "$1: $(cat "$T/result")"
	echo "$1: $(tail -1 "$T/result")"
}
mkdir "$T/plain"
"$POSIX" --make "$T/plain" "$table"
try "plain" "$T/plain"
mount_it
mkdir -p node_modules/.cache/made
"$POSIX" --make node_modules/.cache/made "$table"
try "made in the mount" node_modules/.cache/made
try "in a package" node_modules/posix
# Each row did the same to all three.
"$TREECMP" "$T/plain" node_modules/.cache/made || differs "what was made differs"
rm -f node_modules/posix/package.json
for i in $(seq "$(grep -c ' | ' "$table")" 249); do rm -rf "node_modules/posix/r$i"; done
"$TREECMP" "$T/plain" node_modules/posix || differs "what was a package differs"
unmount_it
mount_it
"$TREECMP" "$T/plain" node_modules/.cache/made || differs "what was made differs after a new mount"
"$TREECMP" "$T/plain" node_modules/posix || differs "what was a package differs after a new mount"
