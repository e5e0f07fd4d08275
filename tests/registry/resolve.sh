#!/usr/bin/env bash
# resolve.sh [NAME...]: is what `dx lock` resolves what npm resolves? For each project of
# tests/registry/resolve and tests/projects, at one date, `npm install --package-lock-only` and
# `dx lock` from the configured registry: the entries of both locks are compared, and what npm
# makes of a changed package.json with that lock (relock.js says how it is changed).
# Without a registry, exit status 77. Ends with "N passed, N failed, N skipped".
#
#   DXFS_BIN         folder of dx (default: build/fs beside tests/)
#   RESOLVE_BEFORE   the date (default below)
#   RESOLVE_CACHE    where npm's answers and cache and our metadata stay for the next time
#   RESOLVE_CHANGES  how many changes of each project are tried (default 2)
set -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
dx=$(realpath -m "${DXFS_BIN:-$top/build/fs}")/dx
changes=${RESOLVE_CHANGES:-2}
export npm_config_before=${RESOLVE_BEFORE:-2026-11-15} npm_config_prefer_offline=true

skip() {
	echo "SKIP: $1"
	exit 77
}

command -v npm >/dev/null || skip "npm, the oracle, is not installed"
[ "$(npm --version | cut -d. -f1)" = 11 ] || skip "npm $(npm --version) is here; the oracle is npm 11"
timeout 60 npm view express name --fetch-retries=0 >/dev/null 2>&1 || skip "no registry answers that has express"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/resolve.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
cache=${RESOLVE_CACHE:-$scratch/cache}
mkdir -p "$cache"
export DX_STORE=$cache/store
[ $# -gt 0 ] || set -- express vite cra next nest vue svelte angular storybook electron react-native aws-cdk typescript-eslint monorepo
passed=0 failed=0 skipped=0

# npm's lock of the project in $1, kept under the name $2.
ask_npm() {
	local answer
	answer=$cache/answers/$2-$(cat "$1/package.json" "$1/package-lock.json" 2>/dev/null | sha1sum | cut -c1-16).json
	if [ ! -f "$answer" ]; then
		mkdir -p "$cache/answers"
		(cd "$1" && timeout 900 npm install --package-lock-only --ignore-scripts --no-audit --no-fund \
			--cache "$cache/npm" >"$scratch/npm.log" 2>&1) || return 1
		cp "$1/package-lock.json" "$answer"
	fi
	cp "$answer" "$1/package-lock.json"
}

compare() { # compare NAME NPM-FOLDER OUR-FOLDER WHAT
	if ! (cd "$3" && timeout 300 "$dx" lock >"$scratch/out" 2>"$scratch/err"); then
		echo "$1: dx lock failed: $(head -c 300 "$scratch/err")"
		return 1
	fi
	"$dx" lock export "$3/dx.lock" >"$scratch/ours.json" || return 1
	node "$here/resolve_diff.js" "$1" "$2/package-lock.json" "$scratch/ours.json"
}

one() {
	local name=$1 from=$here/resolve/$1 n
	[ -d "$from" ] || from=$top/tests/projects/$1
	for side in npm ours; do
		mkdir -p "$scratch/$name/$side"
		(cd "$from" && find . -name package.json -not -path '*/node_modules/*' -exec cp --parents {} "$scratch/$name/$side" \;)
	done
	ask_npm "$scratch/$name/npm" "$name" || return 2
	compare "$name" "$scratch/$name/npm" "$scratch/$name/ours" || return 1
	for n in $(seq "$changes"); do
		for side in npm ours; do
			mkdir -p "$scratch/$name/$side$n"
			cp -r "$scratch/$name/$side/." "$scratch/$name/$side$n"
			rm -f "$scratch/$name/$side$n/dx.lock"
			cp "$scratch/$name/npm/package-lock.json" "$scratch/$name/$side$n"
			node "$here/resolve_change.js" "$n" "$scratch/$name/$side$n" >"$scratch/change" || return 1
		done
		ask_npm "$scratch/$name/npm$n" "$name$n" || continue
		compare "$name, $(cat "$scratch/change")" "$scratch/$name/npm$n" "$scratch/$name/ours$n" || return 1
	done
}

for name in "$@"; do
	one "$name"
	case $? in
	0) passed=$((passed + 1)) ;;
	2)
		echo "$name: npm itself could not: $(tail -3 "$scratch/npm.log")"
		skipped=$((skipped + 1))
		;;
	*) failed=$((failed + 1)) ;;
	esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
