#!/usr/bin/env bash
# Where nothing can be mounted: the same tree as real files, said in one sentence.
. "$(dirname "$0")/lib.sh"
unshare -Urm true 2>/dev/null || skip "no user namespaces here"
start_registry
project nested
mount_it --prefetch=all
mkdir "$T/real"
cp -a package*.json "$T/real"

# without_fuse COMMAND...: in a namespace where /dev has only what programs cannot do without.
without_fuse() {
	unshare -Urm --propagation private bash -c '
		set -e
		mkdir "$T/dev.$$"
		for d in null zero random urandom tty; do touch "$T/dev.$$/$d"; mount --bind /dev/$d "$T/dev.$$/$d"; done
		mount --rbind "$T/dev.$$" /dev
		exec "$@"' without_fuse "$@"
}
export T
cd "$T/real"
without_fuse "$DXFS_BIN/dxfs" mount --fallback=export ./node_modules </dev/null >"$T/said" 2>&1 || fail "$(cat "$T/said")"
same "one sentence" 1 "$(grep -c 'real files' "$T/said")"
grep -q '/dev/fuse' "$T/said" || fail "it does not say why: $(cat "$T/said")"
"$TREECMP" "$T/nested/node_modules" node_modules
same "no mount" 1 "$(mounts)"

# Again: it stands.
ls -di node_modules >"$T/before"
without_fuse "$DXFS_BIN/dxfs" mount --fallback=export ./node_modules </dev/null >"$T/said" 2>&1 || fail "$(cat "$T/said")"
same "left alone" "$(cat "$T/before")" "$(ls -di node_modules)"

# Not without being told to, not over other files, not for a lock that is bad.
rm -rf node_modules
fails 1 without_fuse "$DXFS_BIN/dxfs" mount ./node_modules
[ ! -e node_modules ] || fail "something is left"
mkdir node_modules
echo mine >node_modules/mine
fails 1 without_fuse "$DXFS_BIN/dxfs" mount --fallback=export ./node_modules
same "untouched" mine "$(cat node_modules/mine)"
rm -r node_modules
echo '{' >package-lock.json
fails 1 without_fuse "$DXFS_BIN/dxfs" mount --fallback=export ./node_modules
[ ! -e node_modules ] || fail "something was written"
