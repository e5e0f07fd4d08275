#!/usr/bin/env bash
# imports.sh [NAME...]: does `dx lock` keep to a yarn.lock as npm does? For projects of
# tests/registry/resolve and tests/projects, npm's lock is turned into a yarn.lock in which some
# packages are older (yarn_of_lock.js), and from that and package.json alone both make a lock.
# Without a registry, exit status 77. Ends with "N passed, N failed, N skipped".
#
#   DXFS_BIN        folder of dx (default: build/fs beside tests/)
#   RESOLVE_BEFORE  the date (default below)
#   RESOLVE_CACHE   where npm's cache and our metadata stay for the next time
# shellcheck disable=SC2154 # scratch, cache: lib.sh
set -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
dx=$(realpath -m "${DXFS_BIN:-$top/build/fs}")/dx

# shellcheck source=/dev/null
. "$here/lib.sh"
REGISTRY=$(npm config get registry)
npm=$(realpath "$(command -v npm)")
npm=$(dirname "$(dirname "$npm")")
# At one date: else what is published between two questions is a difference.
export REGISTRY npm_config_prefer_offline=true npm_config_before=${RESOLVE_BEFORE:-2026-11-15}
[ $# -gt 0 ] || set -- express vue svelte cra monorepo

npm_lock() { # npm_lock FOLDER
	(cd "$1" && timeout 1800 npm install --package-lock-only --ignore-scripts --no-audit --no-fund \
		--cache "$cache/npm" >"$scratch/npm.log" 2>&1)
}

one() {
	local name=$1 from=$here/resolve/$1
	[ -d "$from" ] || from=$top/tests/projects/$1
	mkdir -p "$scratch/$name/npm"
	(cd "$from" && find . -name package.json -not -path '*/node_modules/*' -exec cp --parents {} "$scratch/$name/npm" \;)
	npm_lock "$scratch/$name/npm" || return 2
	node "$here/yarn_of_lock.js" "$scratch/$name/npm" "$npm" >"$scratch/what" || return 1
	cp "$scratch/$name/npm/package-lock.json" "$scratch/newest.json"
	rm "$scratch/$name/npm/package-lock.json"
	cp -r "$scratch/$name/npm" "$scratch/$name/ours"
	npm_lock "$scratch/$name/npm" || return 2
	if ! (cd "$scratch/$name/ours" && timeout 900 "$dx" lock >"$scratch/out" 2>"$scratch/err"); then
		echo "$name: dx lock failed: $(head -c 300 "$scratch/err")"
		return 1
	fi
	grep -q '^keeping to the versions of yarn.lock' "$scratch/err" || return 1
	"$dx" lock export "$scratch/$name/ours/dx.lock" >"$scratch/ours.json" || return 1
	node "$here/resolve_diff.js" "$name, $(cat "$scratch/what")" "$scratch/$name/npm/package-lock.json" "$scratch/ours.json" || return 1
	# What nothing pinned would be another lock: the comparison can fail.
	! cmp -s "$scratch/newest.json" "$scratch/$name/npm/package-lock.json"
}

for name in "$@"; do
	one "$name"
	status=$?
	[ $status -ne 2 ] || echo "$name: npm itself could not: $(tail -3 "$scratch/npm.log")"
	count $status
done
result
