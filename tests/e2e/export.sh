#!/usr/bin/env bash
# dx export: the tree of a mount as real files, whole or not at all.
. "$(dirname "$0")/lib.sh"
start_registry
project nested

# What is missing is fetched; the copy is the mount's tree.
dx export --json out >"$T/counts"
same "everything counted" "$(find out -mindepth 1 -type f | wc -l)" "$(node -p 'JSON.parse(require("fs").readFileSync(process.argv[1])).files' "$T/counts")"
mount_it --prefetch=all
"$TREECMP" node_modules out
[ -z "$(find out -newer out/.package-lock.json -print -quit)" ] || fail "something is newer than the hidden lockfile"
unmount_it

# The registry is not needed any more, and an empty folder is no obstacle.
stop_registry
mkdir empty
dx export --offline empty >"$T/out"
"$TREECMP" out empty

# On a terminal it says how far it is, in packages as dx fetch does; not into a file.
if command -v script >/dev/null; then
	TERM=xterm script -qc "'$DXFS_BIN/dx' export --offline shown" "$T/typescript" >/dev/null
	"$TREECMP" out shown
	rm -rf shown
fi
dx export --offline plain 2>"$T/err" >/dev/null
same "nothing but the result" "" "$(cat "$T/err")"
rm -rf plain

# What stands there stays.
echo mine >empty/mine
fails 1 dx export empty
grep -q 'is there already' "$T/out" || fail "$(cat "$T/out")"
same "untouched" mine "$(cat empty/mine)"
echo file >file
fails 1 dx export file
same "untouched" file "$(cat file)"
fails 1 dx export no/such/parent
grep -q 'no/such' "$T/out" || fail "$(cat "$T/out")"
mount_it
fails 1 dx export node_modules
unmount_it

# A package that cannot be had: one sentence, and nothing is left.
rm -rf "$T/store" out empty file
fails 1 dx export --offline out
same "one sentence" 1 "$(wc -l <"$T/out")"
same "nothing left" "" "$(find . -maxdepth 1 -name '*out*')"
fails 2 dx export --omit=nonsense

# Workspaces: their own node_modules beside it, at the places that they have in the project.
start_registry
project workspaces
mkdir "$T/copy"
dx export "$T/copy/node_modules" >/dev/null
mount_it --prefetch=all
"$TREECMP" node_modules "$T/copy/node_modules"
n=0
while read -r dir; do
	"$TREECMP" "$dir" "$T/copy/$dir"
	n=$((n + 1))
done < <(find packages -name node_modules -prune -type d)
[ $n -gt 0 ] || fail "the project has no nested node_modules"
unmount_it
