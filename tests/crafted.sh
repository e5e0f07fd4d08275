#!/usr/bin/env bash
# crafted.sh [NAME...] - oracle.sh over the crafted projects (all, or those named), each with no
# options and with every line of its file `options`, against a test registry. JOBS (2) at a time.
# One that differs, and has a file `differs` that says why, counts as skipped.
# Ends with "N passed, N failed, N skipped"; exit status 1 if one failed. Environment: as e2e/run.sh.
set -u -o pipefail
# Whatever the user and the machine have configured, here it is only what a project says.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib/env.sh"
loopback_only
top=$(cd "$(dirname "$0")/.." && pwd)
export DXFS_BIN TREECMP ORACLE_REGISTRY npm_config_cache npm_config_userconfig npm_config_globalconfig
DXFS_BIN=$(realpath -m "${DXFS_BIN:-$top/build/fs}")
TREECMP=$(realpath -m "${TREECMP:-$top/build/tests/tools/treecmp}")
registry=${TEST_REGISTRY:-$top/build/tests/registryd/test-registry}
pid='' scratch=$(mktemp -d "${TMPDIR:-/tmp}/crafted.XXXXXX") || exit 1
trap '[ -z "$pid" ] || kill $pid; rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM HUP

if ! command -v npm >/dev/null || [ "$(npm --version | cut -d. -f1)" -lt 11 ]; then
	echo "SKIP crafted projects: the oracle is npm 11 or later, which is not here"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
fi
fixtures=${FIXTURES:-$scratch/fixtures}
[ -d "$fixtures" ] || node "$top/tests/fixtures/make.js" "$fixtures" >/dev/null || exit 1
read -r pid port _ < <("$registry" --background --dir "$fixtures/registry")
[ -n "$pid" ] || exit 1
ORACLE_REGISTRY=http://127.0.0.1:$port
npm_config_cache=$scratch/npm-cache
npm_config_userconfig=$scratch/npmrc npm_config_globalconfig=$scratch/global-npmrc
touch "$npm_config_userconfig" "$npm_config_globalconfig"

if [ $# -eq 0 ]; then
	cd "$fixtures/projects" && set -- *
fi
for name in "$@"; do
	echo "$fixtures/projects/$name"
	[ ! -f "$fixtures/projects/$name/options" ] || sed "s|^|$fixtures/projects/$name |" "$fixtures/projects/$name/options"
done >"$scratch/list"
# One line of output for each that is the same; all of it for each that is not.
# shellcheck disable=SC2016 # for the inner shell
xargs -P "${JOBS:-2}" -d '\n' -I{} bash -c '
	if text=$(timeout -k 10 600 "$0" $1 2>&1); then verdict=PASS
	elif [ -f "${1%% *}/differs" ]; then verdict=SKIP text="${1##*/}: known difference: $(cat "${1%% *}/differs")"
	else verdict=FAIL; fi
	printf "%s\n" "$text" | sed "\$s/^/$verdict /"' "$top/tests/oracle.sh" {} <"$scratch/list" | tee "$scratch/out"
passed=$(grep -c '^PASS ' "$scratch/out")
skipped=$(grep -c '^SKIP ' "$scratch/out")
failed=$(($(wc -l <"$scratch/list") - passed - skipped))
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
