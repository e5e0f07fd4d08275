#!/usr/bin/env bash
# dedupe.sh [NAME...]: is what `dx lock --dedupe` finds a lock to npm, and has it fewer versions than
# `npm dedupe` leaves? For each project of tests/registry/resolve and tests/projects, at one date,
# from the configured registry: it is proven the fewest, the same bytes come twice, `npm ls` finds
# nothing wrong, and `npm ci` nothing that it does not find wrong with npm's own lock.
# Without a registry, exit status 77. Ends with "N passed, N failed, N skipped".
#
#   DXFS_BIN         folder of dx (default: build/fs beside tests/)
#   RESOLVE_BEFORE   the date (default below)
#   RESOLVE_CACHE    where npm's cache and our metadata stay for the next time
# shellcheck disable=SC2154 # scratch, cache: lib.sh
set -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
dx=$(realpath -m "${DXFS_BIN:-$top/build/fs}")/dx
export npm_config_before=${RESOLVE_BEFORE:-2026-11-15} npm_config_prefer_offline=true
export npm_config_audit=false npm_config_fund=false npm_config_ignore_scripts=true

# shellcheck source=/dev/null
. "$here/lib.sh"
[ $# -gt 0 ] || set -- express vue nest monorepo

# Names and versions that are fetched.
versions() {
	node -e '
const { packages } = JSON.parse(require("fs").readFileSync(process.argv[1]));
const seen = new Set();
for (const [path, p] of Object.entries(packages))
	if (path.includes("node_modules/") && !p.link && !p.inBundle)
		seen.add((p.name || path.replace(/.*node_modules\//, "")) + "@" + p.version);
console.log(seen.size);' "$1"
}

complaints() { # of npm ci, but for who complains
	(cd "$1" && timeout 300 npm ci --dry-run --cache "$cache/npm" 2>&1) | grep -oE '(Missing|Invalid): [^ ]+' | sed 's/@[^@]*$//' | sort -u
}

one() {
	local name=$1 from=$here/resolve/$1 ours theirs d=$scratch/$1
	[ -d "$from" ] || from=$top/tests/projects/$1
	mkdir -p "$d/npm" "$d/ours"
	for side in npm ours; do
		(cd "$from" && find . -name package.json -not -path '*/node_modules/*' -exec cp --parents {} "$d/$side" \;)
	done
	(cd "$d/npm" && timeout 600 npm install --package-lock-only --cache "$cache/npm" &&
		timeout 600 npm dedupe --package-lock-only --cache "$cache/npm") >"$scratch/npm.log" 2>&1 || {
		echo "$name: npm itself could not: $(tail -3 "$scratch/npm.log")"
		return 2
	}
	cd "$d/ours" || return 1
	timeout 900 "$dx" lock --dedupe >"$scratch/out" 2>&1 || {
		echo "$name: $(cat "$scratch/out")"
		return 1
	}
	grep -q 'proven the fewest$' "$scratch/out" || {
		echo "$name: $(cat "$scratch/out")"
		return 1
	}
	mv dx.lock "$scratch/first"
	timeout 900 "$dx" lock --dedupe >/dev/null 2>&1 && cmp "$scratch/first" dx.lock || return 1
	"$dx" lock export >"$scratch/package-lock.json" && mv "$scratch/package-lock.json" . || return 1
	ours=$(versions package-lock.json) theirs=$(versions "$d/npm/package-lock.json")
	echo "$name: $ours versions, $theirs after npm dedupe"
	[ "$ours" -le "$theirs" ] || return 1
	timeout 300 npm ls --all --package-lock-only >/dev/null 2>"$scratch/ls" || {
		echo "$name: npm ls: $(grep -v warn "$scratch/ls" | head -5)"
		return 1
	}
	complaints "$d/npm" >"$scratch/theirs"
	complaints "$d/ours" | comm -23 - "$scratch/theirs" >"$scratch/new"
	[ ! -s "$scratch/new" ] || {
		echo "$name: npm ci: $(head -5 "$scratch/new")"
		return 1
	}
}

for name in "$@"; do
	(one "$name")
	count $?
done
result
