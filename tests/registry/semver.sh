#!/bin/sh
# `dx semver` against npm's own semver package: semver.sh [DX] [COUNT [SEED]]
# Generated pairs of version and range, with and without -l and -p; the seed is printed. Some command
# lines too. Ends with "N passed, N failed, N skipped". Environment: DXFS_BIN as oracle.sh.
here=$(dirname "$0")
# shellcheck source=/dev/null
. "$here/../lib/env.sh"
loopback_only
case ${1:-} in
*dx) dx=$1 && shift ;;
*) dx=${DXFS_BIN:-$here/../../build/fs}/dx ;;
esac
count=${1:-100000} seed=${2:-$(date +%s)}

skip() {
	echo "SKIP: $1"
	exit 77
}

[ -x "$dx" ] || { echo "no dx at $dx; usage: semver.sh [DX] [COUNT [SEED]]" >&2; exit 2; }
command -v node >/dev/null || skip "node is not installed; it runs npm's semver"
command -v npm >/dev/null || skip "npm is not installed; its semver is the oracle"
semver=$(npm root -g 2>/dev/null)/npm/node_modules/semver
[ -d "$semver" ] || skip "npm has no semver package where this test looks for it"
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
echo "seed $seed, $count pairs"
node "$here/semver.js" "$semver" "$seed" "$count" "$dir" || exit 1

passed=0 failed=0
for options in "" "-l" "-p" "-l -p"; do
	name=$(echo "$options" | tr -d ' ')
	# shellcheck disable=SC2086 # two options
	"$dx" semver --batch $options <"$dir/pairs" >"$dir/got" || {
		echo "FAIL: dx semver --batch $options: exit status $?"
		exit 1
	}
	[ "$(wc -l <"$dir/got")" -eq "$count" ] || {
		echo "FAIL: dx semver --batch $options answered $(wc -l <"$dir/got") lines of $count"
		exit 1
	}
	paste "$dir/want$name" "$dir/got" "$dir/pairs" | awk -F'\t' '$1 != $2' >"$dir/differ"
	wrong=$(wc -l <"$dir/differ")
	failed=$((failed + wrong))
	passed=$((passed + count - wrong))
	[ "$wrong" -eq 0 ] || {
		echo "with '$options', npm's answer, ours, version, range:"
		head -20 "$dir/differ" | cat -A | sed 's/\^I/	/g; s/\$$//'
	}
done

same() { # same ARGUMENT...: output and exit status of both commands
	want=$(node "$semver/bin/semver.js" "$@" 2>/dev/null; echo "exit $?")
	got=$("$dx" semver "$@" 2>/dev/null; echo "exit $?")
	if [ "$want" = "$got" ]; then
		passed=$((passed + 1))
		return
	fi
	failed=$((failed + 1))
	printf 'semver %s\nwant: %s\ngot: %s\n' "$*" "$want" "$got"
}

same 1.2.3
same 2.0.0 v1.2.3 1.10.0 1.2.3-rc.1 nonsense 1.9.0+build
same -r '^1.2' 1.2.3 1.1.0 1.3.0-a 2.0.0 1.9.9
same --range '>=1' --range '<2' 1.5.0 2.0.0 1.0.0 0.9.0
same -r '>=1' -r '<2' -p 1.5.0-a 2.0.0-a 1.0.0-0
same -l 01.2.3 1.2.3beta v1.0.0
same 1.2.3beta
same -r '^2' 1.2.3
same -r 'not a range' 1.2.3
same -p -r '*' 1.0.0-a 1.0.0
same 1.0.0+b 1.0.0 1.0.0+a
same --loose --include-prerelease -r '1.x' 1.0.0a 1.0
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
