#!/usr/bin/env bash
# An ordinary user's containers: mounting inside, with one's own store behind and with root's; and who
# sees a mount that the user made on the host.
. "$(dirname "$0")/lib.sh"
user_namespaces as_user || skip "no user namespaces for ordinary users here"
filled nested
home=$CONTAINERS/user
app=$home/app
expected=$(node -p 'Object.keys(require("./package-lock.json").packages).length')
# Root's store and the user's are the same, but for whose they are. The image is the host's folder,
# below an overlay.
cp -a "$T/store" "$home/store"
mkdir "$app" && cp package*.json "$app"
chown -R "$CONTAINERS_USER:" "$home/store" "$app"
chmod -R a+rX "$T/store" && chmod 755 "$T" "${T%/*}"
as_user podman import -q "$CONTAINERS/image.tar" dxfs-test >"$T/import" 2>&1 || fail "$(cat "$T/import")"

run_user() {
	as_user podman run --rm "$@" </dev/null >"$T/said" 2>&1
}

# ---- inside ----

script='set -e
	dxfs mount --offline ./node_modules
	grep -q " /app/node_modules .* fuse.dxfs " /proc/self/mountinfo
	find node_modules -type f -exec cat {} + >/dev/null
	touch node_modules/.mine
	find node_modules -name package.json | wc -l
	dxfs unmount ./node_modules
	! find /root -name "*.dxp" | grep .'
# inside WHAT STORE OPTIONS... IMAGE COMMAND...
inside() {
	local what=$1 store=$2
	shift 2
	run_user --device /dev/fuse -v "$store:/host:ro" -e DX_STORE_BEHIND=/host -v "$app:/app:O" -w /app "$@" || fail "$what: $(cat "$T/said")"
	same "$what: packages" $((expected - 1)) "$(tail -1 "$T/said")"
}
inside "its own store behind" "$home/store" --cap-add SYS_ADMIN dxfs-test sh -c "$script"
inside "root's store behind" "$T/store" --cap-add SYS_ADMIN dxfs-test sh -c "$script"
inside "without a capability" "$T/store" dxfs-test unshare -Urm sh -c "$script"

# A third user's store is not believed unless it is named.
run_user -v "$T/store:/host" -e DX_STORE=/host -v "$app:/app:O" -w /app dxfs-test dx fetch --offline && fail "root's store was believed unnamed"
grep -q 'DX_STORE_BEHIND' "$T/said" || fail "$(cat "$T/said")"

# ---- outside ----

as_user env DX_STORE="$home/store" "$DXFS_BIN/dxfs" mount --offline "$app/node_modules" </dev/null
run_user -v "$app/node_modules:/app/node_modules:O" dxfs-test sh -c 'touch /app/node_modules/.mine; ls /app/node_modules/leaf/package.json' ||
	fail "its own container's root: $(cat "$T/said")"
run_user --user 12345 -v "$app/node_modules:/app/node_modules:ro" dxfs-test ls /app/node_modules && fail "another user of its container sees the mount"
grep -q 'Permission denied' "$T/said" || fail "$(cat "$T/said")"
as_user "$DXFS_BIN/dxfs" unmount "$app/node_modules"

# As a machine where user_allow_other stands in /etc/fuse.conf; nobody else sees this one.
echo user_allow_other >"$T/fuse.conf"
mount --bind "$T/fuse.conf" /etc/fuse.conf
as_user env DX_STORE="$home/store" "$DXFS_BIN/dxfs" mount --allow-other --offline "$app/node_modules" </dev/null
umount /etc/fuse.conf
run_user --user 12345 -v "$app/node_modules:/app/node_modules:ro" dxfs-test ls /app/node_modules/leaf/package.json || fail "with allow_other: $(cat "$T/said")"
run_user --userns keep-id -v "$app/node_modules:/app/node_modules:ro" dxfs-test ls /app/node_modules/leaf/package.json || fail "with keep-id: $(cat "$T/said")"
run_in -v "$app/node_modules:/app/node_modules:ro" dxfs-test ls /app/node_modules/leaf/package.json >"$T/said" 2>&1 || fail "root's container: $(cat "$T/said")"
as_user "$DXFS_BIN/dxfs" unmount "$app/node_modules"
as_user podman system migrate
