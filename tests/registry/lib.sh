# lib.sh - for what compares `dx lock` with npm: sourced by resolve.sh, dedupe.sh and imports.sh.
# Ends the caller with status 77 where npm, the oracle, or a registry is not there. Sets scratch (gone at
# the end), cache ($RESOLVE_CACHE, else in scratch) and DX_STORE, and passed, failed, skipped to 0.
# shellcheck shell=bash
# shellcheck source=/dev/null
. "$(dirname "$0")/ask.sh"
[ "$(npm --version | cut -d. -f1)" = 11 ] || skip "npm $(npm --version) is here; the oracle is npm 11"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/$(basename "$0" .sh).XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
cache=${RESOLVE_CACHE:-$scratch/cache}
mkdir -p "$cache"
export DX_STORE=$cache/store
passed=0 failed=0 skipped=0

# count STATUS: of one comparison; 2: skipped.
count() {
	case $1 in
	0) passed=$((passed + 1)) ;;
	2) skipped=$((skipped + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
}

# The last line; its status is the caller's.
result() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[ $failed -eq 0 ]
}
