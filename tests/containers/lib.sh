# lib.sh - what a test of this folder has at hand, besides tests/e2e/lib.sh. Sourced first thing.
#
# podman is root's, set up by run.sh: containers without network, with runc. The image dxfs-test has
# node, a shell, dx and dxfs. A test that leaves a container or a volume fails.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
MADE_IMAGE='' # by the test, and removed at its end

# run_in OPTIONS IMAGE COMMAND...: a container of root's, gone afterwards.
run_in() {
	podman run --rm --label "$T" "$@"
}

# user_namespaces [RUNNER...]: can one be made here? Machines forbid it by sysctl, by AppArmor, or because
# they themselves are run in a chroot.
user_namespaces() {
	"$@" unshare -Urm true 2>/dev/null
}

# filled NAME: a crafted project in T/NAME whose packages are all in the store; goes there. The
# registry is stopped.
filled() {
	start_registry
	project "$1"
	dx fetch >"$T/fetched" 2>&1 || fail "$(cat "$T/fetched")"
	stop_registry
}

# recipe NAME: what dxfs-containers(7) says under that name, as one reads it, with our image.
recipe() {
	local page=${0%/*}/../../fs/dxfs-containers.7
	sed -n "/^\.\\\\\" recipe: $1\$/,/^\.\\\\\" end\$/p" "$page" | grep -v '^\.\\"' |
		sed 's/\\-/-/g; s/\\e/\\/g; s/\bIMAGE\b/dxfs-test/g' >"$T/recipe.$1"
	[ -s "$T/recipe.$1" ] || fail "no recipe $1"
	cat "$T/recipe.$1"
}

# as_user COMMAND...: as the ordinary user, whose podman and store are his own.
as_user() {
	local home=$CONTAINERS/user
	(cd "$home" && exec runuser -u "$CONTAINERS_USER" -- env -u DX_STORE -u XDG_DATA_HOME -u XDG_CACHE_HOME \
		-u XDG_CONFIG_HOME -u TMPDIR HOME="$home" XDG_RUNTIME_DIR="$home/p/run" XDG_STATE_HOME="$home/state" \
		PODMAN="$home/p" CONTAINERS_CONF="$home/p/containers.conf" "$@")
}

# blobs DIR: how many packages a store has.
blobs() {
	find "$1" -name '*.dxp' | wc -l
}

# used_kb DIR...: what they take on disk, other file systems aside. What goes meanwhile takes nothing.
used_kb() {
	{ du -skxc "$@" 2>/dev/null || true; } | tail -1 | cut -f1
}

containers_finish() {
	local rc=$? left
	trap - EXIT
	[ ! -e "$T/pod.yaml" ] || podman play kube --down "$T/pod.yaml" >/dev/null 2>&1 || true
	[ -z "$MADE_IMAGE" ] || podman rmi -f "$MADE_IMAGE" >/dev/null 2>&1 || true
	left=$(podman ps -aq --filter "label=$T")
	if [ -n "$left" ]; then
		echo "FAIL: containers are left: $left"
		# shellcheck disable=SC2086
		podman rm -f -t 0 $left
		[ $rc -ne 0 ] || rc=1
	fi
	set +e
	(exit $rc)
	finish
}
trap containers_finish EXIT
