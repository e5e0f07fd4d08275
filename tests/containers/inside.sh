#!/usr/bin/env bash
# A container that mounts for itself, the host's store behind its own.
. "$(dirname "$0")/lib.sh"
filled nested
"$DXFS_BIN/dx" export "$T/expected" >/dev/null 2>&1
host="-v $T/store:/host:ro -e DX_STORE_BEHIND=/host"
stored() { find "$T/store" -printf '%p %m %s %T@\n' | sort; }
stored >"$T/before"

# mounts OPTIONS...: in a container with these, the tree is right, can be written to, and goes.
# shellcheck disable=SC2016
script='set -e
	dxfs mount --offline ./node_modules
	grep -q " /app/node_modules .* fuse.dxfs " /proc/self/mountinfo
	(cd node_modules && find . -type f -exec cat {} + >/dev/null)
	tar -c --exclude=.package-lock.json node_modules >/out/tree.tar
	mkdir node_modules/.cache && echo mine >node_modules/.cache/x
	dxfs unmount ./node_modules
	find "$DX_STORE" -name "*.dxp" | wc -l'
mounts_inside() {
	local what=$1
	shift
	rm -rf "$T/tree" && mkdir "$T/tree"
	# shellcheck disable=SC2086
	run_in $host -e DX_STORE=/own-store -v "$T/tree:/out" -v "$PWD:/app:O" -w /app "$@" >"$T/said" 2>&1 || fail "$what: $(cat "$T/said")"
	same "$what: blobs copied into the container's store" 0 "$(tail -1 "$T/said")"
	tar -C "$T/tree" -xf "$T/tree/tree.tar"
	rm -f "$T/expected/.package-lock.json"
	"$TREECMP" "$T/expected" "$T/tree/node_modules" || fail "$what: another tree"
}
mounts_inside "as root" --device /dev/fuse --cap-add SYS_ADMIN dxfs-test sh -c "$script"
if user_namespaces; then
	mounts_inside "without a capability, in a user namespace" --device /dev/fuse dxfs-test unshare -Urm sh -c "$script"
fi
stored | diff "$T/before" - || fail "the host's store was changed"

# ---- what the host lacks comes into the container's own store ----

start_registry
cp -a "$FIXTURES/projects/nested" "$T/other"
cp package*.json "$T/other"
sed -i "s|http://127\.0\.0\.1:[0-9]*|$REG|g" "$T/other/package-lock.json"
missing=$(find "$T/store" -name '*.dxp' | sort | sed -n 1,2p)
mkdir "$T/aside"
# shellcheck disable=SC2086
mv $missing "$T/aside"
rm "$T/store/index"
stored >"$T/before"
forget_requests
# shellcheck disable=SC2086
run_in $host -v "$T/other:/app:O" -w /app --network host --device /dev/fuse --cap-add SYS_ADMIN -e npm_config_registry="$REG/" dxfs-test sh -c '
	set -e
	dxfs mount --prefetch=all ./node_modules
	find node_modules -type f -exec cat {} + >/dev/null
	find /root -name "*.dxp" | wc -l' >"$T/said" 2>&1 || fail "$(cat "$T/said")"
same "blobs in its own store" 2 "$(tail -1 "$T/said")"
same "asked of the registry" 2 "$(requests '\.tgz')"
stored | diff "$T/before" - || fail "the host's store was changed"
stop_registry

# ---- what is missing is said ----

# shellcheck disable=SC2086
fails 1 run_in $host -v "$PWD:/app:O" -w /app dxfs-test dxfs mount ./node_modules
grep -q -- '--device /dev/fuse' "$T/out" || fail "$(cat "$T/out")"
# shellcheck disable=SC2086
fails 1 run_in $host -v "$PWD:/app:O" -w /app --device /dev/fuse dxfs-test dxfs mount ./node_modules
grep -q -- '--cap-add SYS_ADMIN' "$T/out" || fail "$(cat "$T/out")"
