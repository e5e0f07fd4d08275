#!/bin/sh
# quickstart.sh [PROJECT] - from a fresh clone on Debian 12 to a program that runs from a mounted
# node_modules: installs what is missing (as root, or through sudo), builds, mounts PROJECT's
# node_modules (tests/sample if none is named; it has a package-lock.json or npm-shrinkwrap.json),
# and runs it. The mount stays; the last lines say how to end it.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
project=$(cd "${1:-$top/tests/sample}" && pwd)
dxfs=$top/build/fs/dxfs
# The store is below HOME.
[ -n "${HOME:-}" ] || HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
export HOME

say() { printf '\n== %s\n' "$*"; }

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "this needs root, and sudo is not here: $*" >&2
		return 1
	fi
}

install_missing() {
	missing=
	for p in gcc g++ meson ninja-build pkg-config fuse3 libfuse3-dev libxxhash-dev libssl-dev \
		libcjson-dev libcurl4-openssl-dev libdeflate-dev zlib1g-dev libcadical-dev \
		libcriterion-dev libmicrohttpd-dev ca-certificates; do
		dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing="$missing $p"
	done
	command -v node >/dev/null || missing="$missing nodejs"
	command -v npm >/dev/null || missing="$missing npm"
	[ -n "$missing" ] || return 0
	say "installing$missing"
	log=$(mktemp)
	# shellcheck disable=SC2086 # a list of names
	if ! { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
		tail -20 "$log"
		rm -f "$log"
		echo "what is needed could not be installed" >&2
		return 1
	fi
	rm -f "$log"
}

# Containers often have /dev/fuse for root only, and no /etc/mtab, without which fusermount3
# does not unmount.
open_fuse() {
	[ -e /etc/mtab ] || as_root ln -s /proc/self/mounts /etc/mtab
	[ -e /dev/fuse ] || as_root modprobe fuse || true
	if ! [ -r /dev/fuse ] || ! [ -w /dev/fuse ]; then
		as_root chmod 0666 /dev/fuse
	fi
}

run_sample() {
	if [ "$project" = "$top/tests/sample" ]; then
		(cd "$project" && ONCE=1 node server.js)
	elif [ -n "$(node -p '(require(process.argv[1]).scripts || {}).start || ""' "$project/package.json")" ]; then
		(cd "$project" && npm start)
	else
		echo "it has no start script; its node_modules:"
		find "$project/node_modules" -mindepth 1 -maxdepth 1 | sort | head -20
	fi
}

! command -v apt-get >/dev/null || install_missing
say "building"
if ! [ -f "$top/build/build.ninja" ]; then
	log=$(mktemp)
	meson setup "$top/build" "$top" >"$log" 2>&1 || { tail -20 "$log"; rm -f "$log"; exit 1; }
	rm -f "$log"
fi
ninja -C "$top/build" --quiet fs/dx fs/dxfs

open_fuse
say "mounting $project/node_modules"
(cd "$project" && "$dxfs" mount ./node_modules)
"$dxfs" status "$project/node_modules"

say "running it"
run_sample

cat <<END

$project/node_modules stays mounted. To look at it and to end it:
  $dxfs status $project/node_modules
  $dxfs unmount $project/node_modules
END
