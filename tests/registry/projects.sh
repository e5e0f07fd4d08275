#!/usr/bin/env bash
# oracle.sh over the real projects of tests/projects: projects.sh [NAME...]. They come from
# whatever registry npm is configured for; without one that answers, exit status 77.
# Environment: as oracle.sh. Ends with "N passed, N failed, N skipped".
set -u -o pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)

# shellcheck source=/dev/null
. "$top/tests/registry/ask.sh"
[ "$(npm --version | cut -d. -f1)" -ge 11 ] || skip "npm $(npm --version) is here; the oracle is npm 11 or later"
[ $# -gt 0 ] || set -- monorepo express lockv1 vite nasty next cra
passed=0 failed=0 skipped=0
for name in "$@"; do
	timeout -k 10 1800 "$top/tests/oracle.sh" "$top/tests/projects/$name"
	case $? in
	0) passed=$((passed + 1)) ;;
	2) skipped=$((skipped + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
