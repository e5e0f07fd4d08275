#!/usr/bin/env bash
# oracle.sh [--npm-only] [--keep] PROJECT [options of npm ci]
#
# Is what dxfs mounts the tree that npm ci writes? Copies PROJECT three times, runs
#   umask 022; npm ci --ignore-scripts --no-audit --no-fund [options]
# in one copy, `dxfs mount` in the second, `dx export` in the third, and compares every
# node_modules of theirs (root's and workspaces'): paths, types, modes, symlinks, bytes. Where
# npm ci refuses the project, the mount must refuse it too. Prints the differences and one line of result; exit status 0 the
# same, 1 not, 2 npm itself could not do it (no registry, a package it lacks).
#
#   --npm-only        only show that npm ci can do it
#   --keep            leave the scratch folder, and say where it is
#   DXFS_BIN          folder of dxfs (default: build/fs beside tests/)
#   TREECMP           treecmp (default: build/tests/tools/treecmp)
#   DX_STORE          store to use (default: one in the scratch folder)
#   ORACLE_REGISTRY   the registry for both; also put for http://registry.test in the copies,
#                     where file:///project.test then is the project itself
#   ORACLE_MOUNT      further options of dxfs mount
set -u -o pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
bin=$(realpath -m "${DXFS_BIN:-$top/build/fs}")
treecmp=${TREECMP:-$top/build/tests/tools/treecmp}
npm_only=false keep=false

while [ $# -gt 0 ]; do
	case $1 in
	--npm-only) npm_only=true ;;
	--keep) keep=true ;;
	*) break ;;
	esac
	shift
done
if ! [ -f "${1:-}/package.json" ]; then
	echo "usage: oracle.sh [--npm-only] [--keep] PROJECT [options of npm ci]" >&2
	exit 2
fi
project=$(realpath "$1")
shift
name=$(basename "$project")${*:+ $*}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/oracle.XXXXXX") || exit 2
npm_side=$scratch/npm/$(basename "$project")
our_side=$scratch/dxfs/$(basename "$project")
export_side=$scratch/export/$(basename "$project")
export DXFS_TEST_RUN=$scratch

# Daemons that were started with our mark in their environment.
# shellcheck disable=SC2317 # called by the trap
marked() {
	grep -lszxF "DXFS_TEST_RUN=$scratch" /proc/[0-9]*/environ | cut -d/ -f3
}

# shellcheck disable=SC2317
cleanup() {
	local m pid
	trap - EXIT
	cd /
	while read -r m; do
		"$bin/dxfs" unmount "$m" >/dev/null 2>&1 || fusermount3 -uz "$m" 2>/dev/null || umount -l "$m" 2>/dev/null
	done < <(awk -v s="$scratch/" 'index($5, s) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
	for pid in $(marked); do
		[ "$(ps -o comm= -p "$pid")" = dxfs ] && kill -9 "$pid" 2>/dev/null
	done
	if $keep; then echo "kept: $scratch"; else chmod -R u+rwX "$scratch" 2>/dev/null; rm -rf "$scratch"; fi
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# The project without any node_modules, its own name for a registry put right.
copy() {
	mkdir -p "$1"
	tar -C "$project" --exclude=node_modules --exclude=./log -cf - . | tar -C "$1" -xpf -
	[ -n "${ORACLE_REGISTRY:-}" ] || return 0
	# Both sides have one repository: what is beside npm's.
	find "$1" -type f \( -name '*.json' -o -name .npmrc \) -exec \
		sed -i "s|http://registry\\.test|${ORACLE_REGISTRY%/}|g; s|file:///project\\.test|file://$npm_side|g" {} +
}

result() { # result STATUS TEXT
	echo "oracle: $name: $2"
	exit "$1"
}

umask 022
copy "$npm_side"
copy "$our_side"
copy "$export_side"
if [ -n "${ORACLE_REGISTRY:-}" ]; then
	export npm_config_registry=$ORACLE_REGISTRY npm_config_fetch_retries=0
	export npm_config_cache=${npm_config_cache:-$scratch/cache}
fi
export npm_config_update_notifier=false DX_STORE=${DX_STORE:-$scratch/store}
export XDG_STATE_HOME=$scratch/state XDG_CACHE_HOME=$scratch/xdg-cache

(cd "$npm_side" && npm ci --ignore-scripts --no-audit --no-fund "$@") >"$scratch/npm.log" 2>&1
npm_status=$?
code=$(sed -n 's/^npm \(error\|ERR!\) code //p' "$scratch/npm.log" | sed -n 1p)
# npm has no code for this one.
[ -n "$code" ] || code=$(sed -n 's/^npm error \(Unable to resolve reference\) .*/\1/p' "$scratch/npm.log" | sed -n 1p)
if [ $npm_status -ne 0 ]; then
	case $code in
	'Unable to resolve reference') ;;
	EUSAGE | EBADPLATFORM | EMISSINGTARGET | ELOCKFILEVERSION | EJSONPARSE | EDUPLICATEWORKSPACE | EBADENGINE) ;;
	*)
		tail -15 "$scratch/npm.log"
		result 2 "npm ci failed (${code:-status $npm_status})"
		;;
	esac
fi
if $npm_only; then
	[ $npm_status -eq 0 ] || result 0 "npm ci refuses it ($code)"
	result 0 "npm ci: $(find "$npm_side" -path '*/node_modules/*' | wc -l) entries"
fi

# What npm ci and dxfs mount call alike is passed on; the rest both read as configuration.
mount_options=()
for o in "$@"; do
	case $o in
	--omit=* | --os=* | --cpu=* | --libc=*) mount_options+=("$o") ;;
	--*=*)
		o=${o#--}
		v=${o%%=*}
		export "npm_config_${v//-/_}=${o#*=}"
		;;
	esac
done
mkfifo "$scratch/never"
# shellcheck disable=SC2086
(cd "$our_side" && exec "$bin/dxfs" mount ${ORACLE_MOUNT:-} "${mount_options[@]}" ./node_modules) \
	</dev/null >"$scratch/mount.log" 2>&1
mount_status=$?

if [ $npm_status -ne 0 ]; then
	[ $mount_status -ne 0 ] || result 1 "npm ci refuses it ($code), dxfs mounts it"
	[ $mount_status -le 2 ] || result 1 "npm ci refuses it ($code), dxfs ended with status $mount_status"
	result 0 "both refuse it ($code): $(tail -1 "$scratch/mount.log")"
fi
if [ $mount_status -ne 0 ]; then
	cat "$scratch/mount.log"
	result 1 "npm ci does it, dxfs mount does not (status $mount_status)"
fi

# What only a tarball tells (a bin whose target is missing) is right once the package is here. Says how
# many are.
complete() {
	"$bin/dxfs" status --json "$our_side/node_modules" | timeout 120 node -e '
		const p = JSON.parse(require("fs").readFileSync(0)).packages
		console.log(p.local + p.failed)
		process.exit(p.local + p.failed < p.total ? 1 : 0)'
}
case " ${ORACLE_MOUNT:-} " in
*prefetch=none*) ;;
*)
	# As long as more come, however slowly.
	here='' since=$SECONDS
	until now=$(complete) || [ $((SECONDS - since)) -ge 240 ]; do
		[ "$now" = "$here" ] || here=$now since=$SECONDS
		read -rt 0.2 <>"$scratch/never" || true
	done
	;;
esac

# Each node_modules that lies in no other, on either side.
modules() {
	(cd "$1" && find . -name node_modules -prune -print | sort)
}

# compare OURS WHAT: every node_modules of npm's and of OURS, the other side's name for messages.
compare() {
	local side=$1 what=$2 dir
	while read -r dir; do
		if [ ! -d "$npm_side/$dir" ]; then
			# Where nothing is installed npm makes no folder; a mount point must be one.
			[ -z "$(find "$side/$dir" -mindepth 1 ! -name .package-lock.json -print -quit)" ] && continue
			echo "$dir: only in the $what"
			status=1
		elif [ ! -d "$side/$dir" ]; then
			echo "$dir: npm has it, the $what does not"
			status=1
		else
			"$treecmp" "$npm_side/$dir" "$side/$dir" >"$scratch/cmp.log" 2>&1 || status=1
			sed '$d' "$scratch/cmp.log"
			counts="$counts${counts:+; }$dir $(tail -1 "$scratch/cmp.log")"
		fi
	done < <({ modules "$npm_side"; modules "$side"; } | sort -u)
}

# The mount makes of a package that has come what follows from it in the next moment, which may be a
# long one on a busy machine: what differs is looked at three times.
for _ in 1 2 3; do
	status=0 counts=
	compare "$our_side" mount >"$scratch/differs.log"
	[ $status -ne 0 ] || break
done
if [ $status -ne 0 ]; then
	cat "$scratch/differs.log"
	"$bin/dxfs" status "$our_side/node_modules" 2>&1 | sed -n 1,30p
	result 1 "DIFFERENT: $counts"
fi
same=${counts:-nothing in either}
counts=
(cd "$export_side" && exec "$bin/dx" export "${mount_options[@]}" ./node_modules) \
	</dev/null >"$scratch/export.log" 2>&1 || { cat "$scratch/export.log"; result 1 "dx export failed"; }
compare "$export_side" export
[ $status -eq 0 ] || result 1 "the export is DIFFERENT: $counts"
result 0 "same: $same"
