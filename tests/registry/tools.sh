#!/usr/bin/env bash
# Do the tools that people use work in a mount as they do in a folder that npm wrote?
#   tools.sh [--npm] [PROJECT...]   (--npm: in such a folder, to see that the project itself is sound)
# The packages come from whatever registry npm is configured for; exit status 77 where none
# answers. Ends with "N passed, N failed, N skipped". Environment: DXFS_BIN, DX_STORE as oracle.sh.
set -u -o pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
dxfs=$(realpath -m "${DXFS_BIN:-$top/build/fs}")/dxfs
with=mount
[ "${1:-}" != --npm ] || { with=npm; shift; }
[ $# -gt 0 ] || set -- express monorepo vite prisma next cra

# shellcheck source=/dev/null
. "$top/tests/registry/ask.sh"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/tools.XXXXXX") || exit 1
export XDG_STATE_HOME=$scratch/state XDG_CACHE_HOME=$scratch/cache HOME=$scratch/home CI=true
export DX_STORE=${DX_STORE:-$scratch/store} NEXT_TELEMETRY_DISABLED=1 npm_config_update_notifier=false
npm_config_cache=$(npm config get cache) npm_config_userconfig=$(npm config get userconfig)
export npm_config_cache npm_config_userconfig
mkdir -p "$scratch/home"
mounted=''
cleanup() {
	cd /
	[ -z "$mounted" ] || "$dxfs" unmount "$mounted" >/dev/null 2>&1 || fusermount3 -uz "$mounted" || umount -l "$mounted"
	rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# What writes into node_modules does so there, as it does without a mount; what is written by one
# command is there for the next, also after the mount went and came.
commands() { # of a project, one a line, for bash; "again" unmounts and mounts
	case $1 in
	express) echo "node_modules/.bin/mocha test" ;;
	monorepo)
		echo "node packages/c/index.js"
		echo "node_modules/.bin/mono-a --name mount"
		;;
	vite)
		echo "node_modules/.bin/tsc --noEmit"
		echo "node_modules/.bin/vite build"
		echo "node dev.mjs first"
		echo "node dev.mjs again"
		echo "again"
		echo "node dev.mjs again"
		echo "node_modules/.bin/vitest run && test -s node_modules/.vitest/results.json"
		echo "node_modules/.bin/eslint --cache --cache-location node_modules/.cache/eslint src --ext .js && test -s node_modules/.cache/eslint"
		echo "node_modules/.bin/prettier --check src/plural.js"
		;;
	prisma)
		# It would fetch an engine that generating does not use.
		echo "PRISMA_SCHEMA_ENGINE_BINARY=/bin/true node_modules/.bin/prisma generate"
		echo "node client.mjs"
		echo "again"
		echo "node client.mjs"
		echo "node watch.mjs"
		;;
	next)
		echo "node_modules/.bin/next build"
		echo "node dev.mjs"
		;;
	cra)
		echo "node_modules/.bin/react-scripts test --watchAll=false --cacheDirectory=\$PWD/node_modules/.cache/jest"
		echo "test -n \"\$(find node_modules/.cache/jest -name 'App_*' -o -name 'App*.map' | head -1)\""
		echo "node_modules/.bin/react-scripts build && ls node_modules/.cache/babel-loader/*.json* node_modules/.cache/.eslintcache"
		echo "touch built && node_modules/.bin/react-scripts build && test -z \"\$(find node_modules/.cache/babel-loader -type f -newer built)\""
		;;
	esac
}

# What a command has started may end a moment after it, and stand in the mount until then.
all_ended() {
	local pid
	for pid in $(grep -lszxF "TOOLS_RUN=$scratch" /proc/[0-9]*/environ | cut -d/ -f3); do
		timeout 120 tail --pid="$pid" -f /dev/null && continue
		echo "still there: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
		return 1
	done
}

run() { # COMMAND
	if [ "$1" != again ]; then
		TOOLS_RUN=$scratch timeout -k 10 1200 bash -c "$1" && all_ended
	elif [ $with = mount ]; then
		"$dxfs" unmount ./node_modules && "$dxfs" mount ./node_modules
	fi
}

passed=0 failed=0
result() { # PASS|FAIL WHAT
	echo "$1 tools: $2"
	if [ "$1" = PASS ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

for name in "$@"; do
	cp -a "$top/tests/projects/$name" "$scratch/$name"
	cd "$scratch/$name" || exit 1
	if [ $with = npm ]; then
		npm ci --ignore-scripts --no-audit --no-fund >"$scratch/log" 2>&1
	else
		"$dxfs" mount ./node_modules </dev/null >"$scratch/log" 2>&1 && mounted=$PWD/node_modules
	fi || {
		tail -20 "$scratch/log"
		result FAIL "$name: $with"
		continue
	}
	while read -r command; do
		start=$SECONDS
		if run "$command" </dev/null >"$scratch/log" 2>&1; then
			result PASS "$name: $command ($((SECONDS - start)) s)"
		else
			tail -40 "$scratch/log"
			result FAIL "$name: $command"
		fi
	done < <(commands "$name")
	[ $with = npm ] || { cd / && "$dxfs" unmount "$mounted"; } || {
		result FAIL "$name: unmount"
		"$dxfs" unmount --lazy "$mounted"
	}
	mounted=''
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
