#!/usr/bin/env bash
# Mounting where one should not, twice at once, and unmounting from outside.
. "$(dirname "$0")/lib.sh"
start_registry
project nested

refused() { # WORDS ARGUMENTS
	fails 1 dxfs mount "${@:2}"
	grep -qE -- "$1" "$T/out" || fail "no '$1' in: $(cat "$T/out")"
	same "lines" 1 "$(wc -l <"$T/out")"
}

# ---- the place ----

mkdir node_modules
touch node_modules/mine
refused "$PWD/node_modules is not empty \(mine\); remove it" ./node_modules
[ -e node_modules/mine ] || fail "it removed a file"
rm -r node_modules
touch node_modules
refused 'node_modules is not a folder; move it away' ./node_modules
rm node_modules
ln -s /tmp node_modules
refused 'node_modules is not a folder; move it away' ./node_modules
rm node_modules
refused 'must be named node_modules' ./other
refused 'cannot find the folder' "$T/nowhere/node_modules"
refused 'name the node_modules folder itself' .
refused 'name the node_modules folder itself' ''
same "mounts" 0 "$(mounts)"
[ ! -e other ] && [ ! -e node_modules ] || fail "something was made"
mkdir node_modules
mount_it
unmount_it
[ -d node_modules ] || fail "a folder that was there is gone"
rmdir node_modules

# ---- for others ----

if ! { [ "$(id -u)" = 0 ] || grep -qx user_allow_other /etc/fuse.conf; }; then
	refused '/etc/fuse.conf has the line user_allow_other' --allow-other ./node_modules
	[ ! -e node_modules ] || fail "something was made"
fi

# ---- at the same moment ----

starts=()
for i in 1 2 3 4; do
	mount_it >"$T/start.$i" 2>&1 &
	starts+=($!)
done
for i in 1 2 3 4; do wait "${starts[$((i - 1))]}" || fail "start $i: $(cat "$T/start.$i")"; done
same "four at once is one mount" 1 "$(mounts)"
# The one of before may need a moment to end.
one_daemon() { [ "$(daemons | wc -l)" = 1 ]; }
until_true 20 one_daemon
same "says the others" 3 "$(cat "$T"/start.* | grep -c 'is mounted already')"
node -e 'require("leaf")'

# ---- from outside ----

detach() { if [ "$(id -u)" = 0 ]; then umount "$@"; else fusermount3 -u "$@"; fi; }
# A sandbox that somebody starts at this moment keeps a copy, and with it the daemon: then again.
for try in 1 2 3; do
	mount_it 2>/dev/null
	before=$(daemons)
	detach "$PWD/node_modules"
	same "unmounted from outside" 0 "$(mounts)"
	# shellcheck disable=SC2086
	if (gone $before); then break; fi
	[ $try != 3 ] || fail "unmounting from outside does not end the daemon"
	unmount_it
done
fails 1 dxfs status ./node_modules
mount_it
before=$(daemons)
exec 5<node_modules/leaf/index.js
fails 1 dxfs unmount ./node_modules
grep -q 'node_modules is in use: .*fuser' "$T/out" || fail "busy: $(cat "$T/out")"
same "it stays" "leaf@1.1.0" "$(node -p 'require("leaf")')"
dxfs unmount --lazy ./node_modules
same "detached" 0 "$(mounts)"
read -r line <&5
same "an open file goes on" "module.exports = 'leaf@1.1.0';" "$line"
exec 5<&-
# shellcheck disable=SC2086
gone $before

# ---- with a copy of it in another mount namespace ----

hidden() { # COMMAND...: beside a process that keeps a copy of all mounts
	local keeper
	mkfifo "$T/hold.$1"
	unshare -rm sh -c 'read -r _ <"$0"' "$T/hold.$1" 2>"$T/unshare" &
	keeper=$!
	copied() { grep -q "$PWD/node_modules" "/proc/$keeper/mountinfo" && [ "$(readlink /proc/$keeper/ns/mnt)" != "$(readlink /proc/self/ns/mnt)" ]; }
	if ! { until_true 10 copied; }; then fail "no other namespace: $(cat "$T/unshare")"; fi
	"$@"
	echo >"$T/hold.$1"
	wait $keeper || true
}
mount_it
before=$(daemons)
unmount_copied() {
	unmount_it || fail "a copy elsewhere keeps it from unmounting"
	# shellcheck disable=SC2086
	gone $before
}
if unshare -rm true 2>/dev/null; then hidden unmount_copied; else unmount_copied; fi
mount_it
remount_copied() {
	detach "$PWD/node_modules"
	fails 1 dxfs mount ./node_modules
	grep -q 'container or sandbox; `dxfs unmount` ends it' "$T/out" || fail "$(cat "$T/out")"
	unmount_it
	mount_it
	same "again" "leaf@1.1.0" "$(node -p 'require("leaf")')"
}
if unshare -rm true 2>/dev/null; then hidden remount_copied; fi
unmount_it

# ---- standing inside ----

mount_it
(
	cd node_modules/leaf
	dxfs mount "$OLDPWD/node_modules" 2>/dev/null || fail "from inside, by its path"
	fails 1 dxfs unmount "$OLDPWD/node_modules"
	grep -q 'in use' "$T/out" || fail "$(cat "$T/out")"
)
# shellcheck disable=SC2046
kill -9 $(daemons)
mount_it || fail "over a dead mount"
same "one mount" 1 "$(mounts)"
unmount_it

# ---- as mount(8) does it ----

if [ "$(id -u)" = 0 ]; then
	# mount(8) looks for dxfs in its own PATH, so a folder of that is covered in a namespace.
	mkdir -p node_modules
	printf '%s %s fuse.dxfs noauto,nofail,x-systemd.automount,offline 0 0\n' "$PWD" "$PWD/node_modules" >"$T/fstab"
	# shellcheck disable=SC2016 # for the inner shell
	unshare -m bash -eu -c '
		mount -t tmpfs none /usr/local/bin
		ln -s "$DXFS_BIN/dxfs" /usr/local/bin/dxfs
		mount -t fuse.dxfs "$PWD" "$PWD/node_modules" -o ro,prefetch=none
		cat node_modules/leaf/index.js
		grep -F "$PWD/node_modules ro," /proc/self/mountinfo
		umount node_modules
		mount --fstab "$T/fstab" "$PWD/node_modules"
		cat node_modules/leaf/index.js
		umount node_modules
		! mount -t fuse.dxfs "$PWD" "$PWD/node_modules" -o no-such-word
	' >"$T/out" 2>&1 || fail "mount(8): $(cat "$T/out")"
	same "read by mount(8) and by fstab" 2 "$(grep -c leaf@1.1.0 "$T/out")"
	grep -q 'no-such-word: unknown mount option' "$T/out" || fail "$(cat "$T/out")"
else
	dxfs "$PWD" "$PWD/node_modules" -o ro,prefetch=none || fail "as mount(8) calls it"
	same "as mount(8) calls it" "leaf@1.1.0" "$(node -p 'require("leaf")')"
	unmount_it
fi
