#!/usr/bin/env bash
# tests/e2e/{faults,http2,gone,silent,killed_fetch}.sh over the 1,260 packages of tests/projects/cra, as
# they really are: npm fills its cache, tests/tools/mirror.js makes a registry of that. Without a
# registry that answers, exit status 77. Environment: as tests/e2e/run.sh, and FAULTS_*. Ends with
# "N passed, N failed, N skipped".
set -u -o pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/fetch.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM HUP

# shellcheck source=/dev/null
. "$top/tests/registry/ask.sh"
cp -r "$top/tests/projects/cra" "$scratch/project"
# npm leaves nothing of other machines in its cache, and dx fetch asks for nothing of them.
(cd "$scratch/project" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || skip "npm ci failed"
rm -rf "$scratch/project/node_modules"
node "$top/tests/tools/mirror.js" "$scratch/registry" "$scratch/project" | tail -3
FAULTS_OF=$scratch FAULTS_KILLS=${FAULTS_KILLS:-10} "$top/tests/e2e/run.sh" faults http2 gone silent killed_fetch
