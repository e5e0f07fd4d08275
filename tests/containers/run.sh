#!/usr/bin/env bash
# run.sh [NAME... | --run COMMAND...] - dxfs and containers, with Podman and runc: every executable *.sh of this folder
# but the scripts that prepare, or those named. Root's containers and an ordinary user's, who is made
# and removed. The image is made from this machine's own files; no container has a network but the
# host's loopback. Podman's images, containers, locks and settings are in the scratch folder, and all
# mounts in a mount namespace that ends with this script, so that nothing of the machine is touched.
#
# --run runs a command instead, with podman and the image dxfs-test as they are for tests.
# Ends with "N passed, N failed, N skipped"; exit status 77 where it cannot run here, with the
# reason. Environment: as tests/e2e/run.sh.
set -u -o pipefail
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/env.sh"
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)

skip() {
	echo "SKIP: $1"
	exit 77
}

if [ -z "${CONTAINERS:-}" ]; then
	[ "$(id -u)" = 0 ] || skip "only root can run containers as root and as others"
	for p in podman runc conmon newuidmap runuser useradd; do
		command -v $p >/dev/null || skip "$p is not installed"
	done
	[ -c /dev/fuse ] || skip "no /dev/fuse on this machine"
	# Mounts of the host come into containers only where they are shared, as systemd makes them.
	unshare -m --propagation private mount --make-rshared / 2>/dev/null || skip "no mount namespaces here"
	CONTAINERS=$(mktemp -d "${TMPDIR:-/tmp}/c.XXXXXX") || exit 1 # short: podman takes 50 characters of $PODMAN/r
	export CONTAINERS
	exec unshare -m --propagation private bash -c 'mount --make-rshared / && exec "$@"' run "$here/run.sh" "$@"
fi

cgroups() { compgen -G '/sys/fs/cgroup/*/libpod_parent' | sort; }
cgroups_before=$(cgroups)
user=dxfs-c$$

# shellcheck disable=SC2317 # called by the trap
cleanup() {
	local pid dir
	trap '' INT TERM HUP
	trap - EXIT
	cd /
	# shellcheck disable=SC2046
	[ -z "$(jobs -p)" ] || kill $(jobs -p) && wait
	podman rm -fa -t 0 >/dev/null 2>&1
	! id "$user" >/dev/null 2>&1 || {
		pkill -KILL -u "$user"
		userdel -rf "$user"
	} >/dev/null 2>&1
	for pid in $(grep -lszxF "CONTAINERS=$CONTAINERS" /proc/[0-9]*/environ | cut -d/ -f3); do
		[ "$pid" = $$ ] || kill -KILL "$pid"
	done 2>/dev/null
	awk -v s="$CONTAINERS/" 'index($5, s) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
		while read -r dir; do umount -l "$dir"; done
	for dir in $(comm -13 <(echo "$cgroups_before") <(cgroups)); do
		find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null
	done
	rm -rf "$CONTAINERS"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# configure DIR: where podman keeps everything of one user, and its defaults.
configure() {
	mkdir -p "$1/run" && chmod 700 "$1/run" || return 1
	cat >"$1/containers.conf" <<-END
		[containers]
		netns = "none"
		default_ulimits = ["nofile=20000:20000", "nproc=1000:1000"]
		log_driver = "k8s-file"
		[engine]
		runtime = "runc"
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		infra_image = "localhost/dxfs-test"
		lock_type = "file"
		tmp_dir = "$1/run/libpod"
		static_dir = "$1/static"
		volume_path = "$1/volumes"
		image_copy_tmp_dir = "$1"
	END
}

# podman by its name, as people call it. (A storage.conf does not reach what conmon calls.)
make_podman() {
	mkdir "$CONTAINERS/bin" && cat >"$CONTAINERS/bin/podman" <<-END && chmod 755 "$CONTAINERS/bin/podman"
		#!/bin/sh
		exec $(type -P podman) --storage-driver overlay --root "\$PODMAN/images" --runroot "\$PODMAN/r" "\$@"
	END
}

bin=$(realpath -m "${DXFS_BIN:-$top/build/fs}")
[ -x "$bin/dxfs" ] || { echo "containers: $bin/dxfs is not there: build first"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
chmod 755 "$CONTAINERS"
make_podman || exit 1
export CONTAINERS_USER=$user PODMAN=$CONTAINERS/root CONTAINERS_CONF=$CONTAINERS/root/containers.conf
PATH=$CONTAINERS/bin:$PATH
useradd -m -d "$CONTAINERS/user" -s /bin/bash "$user" || exit 1
{
	"$here/image.sh" "$CONTAINERS/image" "$bin/dxfs" "$bin/dx" &&
		tar -C "$CONTAINERS/image" -c -f "$CONTAINERS/image.tar" . &&
		configure "$CONTAINERS/root" && configure "$CONTAINERS/user/p" &&
		chown -R "$user:" "$CONTAINERS/user" && chmod 755 "$CONTAINERS/user" &&
		podman import --change "ENV PATH=/usr/bin" --change "CMD [\"sleep\", \"600\"]" "$CONTAINERS/image.tar" dxfs-test &&
		podman run --rm dxfs-test true
} >"$CONTAINERS/log" 2>&1 || skip "podman cannot run a container here: $(tail -1 "$CONTAINERS/log")"

if [ "${1:-}" = --run ]; then
	shift
	"$@" &
	wait $!
	exit
fi
if [ $# -eq 0 ]; then
	for t in "$here"/*.sh; do
		case ${t##*/} in run.sh | lib.sh | image.sh | projects.sh) continue ;; esac
		[ -x "$t" ] && set -- "$@" "$(basename "$t" .sh)"
	done
fi
E2E_TESTS=$here "$top/tests/e2e/run.sh" "$@" &
wait $!
