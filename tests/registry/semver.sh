#!/bin/sh
# `dx semver --batch` against npm's own semver package: semver.sh DX [COUNT [SEED]]
# Generated pairs of version and range, with and without -l and -p; the seed is printed.
dx=$1 count=${2:-100000} seed=${3:-$(date +%s)}
here=$(dirname "$0")

skip() {
	echo "SKIP: $1"
	exit 77
}

[ -x "$dx" ] || { echo "usage: semver.sh DX [COUNT [SEED]]" >&2; exit 2; }
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
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
