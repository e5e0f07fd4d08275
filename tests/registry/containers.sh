#!/usr/bin/env bash
# tests/containers/projects.sh: twenty containers run express and build with vite on one mount each.
# The packages come from whatever registry npm is configured for; exit status 77 where none answers or
# no container can be run. Environment: as tests/e2e/run.sh, and PROJECTS_COUNT. Ends with "N passed,
# N failed, N skipped".
set -u -o pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)

# shellcheck source=/dev/null
. "$top/tests/registry/ask.sh"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/projects.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM HUP
export PROJECTS_STORE=$scratch/store
for p in express vite; do
	cp -r "$top/tests/projects/$p" "$scratch/$p"
	(cd "$scratch/$p" && DX_STORE=$PROJECTS_STORE "${DXFS_BIN:-$top/build/fs}/dx" fetch) || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }
done
"$top/tests/containers/run.sh" projects &
wait $!
