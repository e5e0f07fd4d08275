#!/usr/bin/env bash
# run.sh [NAME...] - runs the end-to-end tests as the user who calls it: every executable *.sh of
# this folder, or those named. Each has its own folder and TEST_TIMEOUT (1200) seconds, or what a
# line "# timeout: N" in it says. A test that leaves a mount, a process or a file behind fails.
# JOBS (2) run at a time. Ends with "N passed, N failed, N skipped"; exit status 1 if one failed.
#
# One that fails beside others is run once more when they have ended, and counts as it ends then:
# what it showed is printed all the same, with a line UNSTEADY, for a cause there is. It is given the
# seed that it printed, so that another fate does not hide what this one found. More than two of a
# run, and none is tried again.
#
#   DXFS_BIN       folder of dxfs and dx         (build/fs)
#   TEST_REGISTRY  the test registry's binary    (build/tests/registryd/test-registry)
#   TREECMP        treecmp                       (build/tests/tools/treecmp)
#   OPFUZZ, POSIX, LIVE   opfuzz, posix, live    (beside treecmp)
#   E2E_TESTS      another folder of tests       (this one)
#   FIXTURES       what tests/fixtures/make.js made (made here if not given)
set -u -o pipefail
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/env.sh"
loopback_only
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
export DXFS_BIN TEST_REGISTRY TREECMP OPFUZZ POSIX LIVE FIXTURES
DXFS_BIN=$(realpath -m "${DXFS_BIN:-$top/build/fs}")
TEST_REGISTRY=$(realpath -m "${TEST_REGISTRY:-$top/build/tests/registryd/test-registry}")
TREECMP=$(realpath -m "${TREECMP:-$top/build/tests/tools/treecmp}")
OPFUZZ=$(realpath -m "${OPFUZZ:-${TREECMP%/*}/opfuzz}")
POSIX=$(realpath -m "${POSIX:-${TREECMP%/*}/posix}")
LIVE=$(realpath -m "${LIVE:-${TREECMP%/*}/live}")
scratch=$(mktemp -d "${TMPDIR:-/tmp}/e2e.XXXXXX") || exit 1
user=$(id -un)
tests=${E2E_TESTS:-$here}

if [ "${1:-}" = --one ]; then # one test, for xargs below
	rm -rf "$scratch"
	scratch=$2 name=$3
	T=$scratch/$name
	mkdir -p "$T"/{home,data,state,cache,config,runtime}
	chmod 700 "$T/runtime"
	limit=$(sed -n 's/^# timeout: //p' "$tests/$name.sh")
	env=(T="$T" DXFS_TEST_RUN="$T" HOME="$T/home" TMPDIR="$T" DX_STORE="$T/store"
		XDG_DATA_HOME="$T/data" XDG_STATE_HOME="$T/state" XDG_CACHE_HOME="$T/cache"
		XDG_CONFIG_HOME="$T/config" XDG_RUNTIME_DIR="$T/runtime"
		npm_config_fetch_retries=0 npm_config_fetch_timeout=600000 npm_config_globalconfig="$T/npmrc" npm_config_cache="$T/npm-cache" npm_config_update_notifier=false)
	start=$SECONDS
	env "${env[@]}" timeout -k 10 "${limit:-${TEST_TIMEOUT:-1200}}" "$tests/$name.sh" </dev/null >"$scratch/$name.log" 2>&1
	rc=$?
	[ $rc -ne 124 ] || echo "FAIL: took longer than ${limit:-${TEST_TIMEOUT:-1200}} s" >>"$scratch/$name.log"
	left=
	# A daemon may need a moment to end after its mount has gone, and who syncs a store many, where
	# others write to the same disk.
	for pid in $(grep -lszxF "DXFS_TEST_RUN=$T" /proc/[0-9]*/environ | cut -d/ -f3); do
		timeout 120 tail --pid="$pid" -f /dev/null && continue
		left="$left; process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c-80))"
		kill -9 "$pid" 2>/dev/null
		timeout 20 tail --pid="$pid" -f /dev/null
	done
	while read -r m; do
		left="$left; mount $m"
		fusermount3 -uz "$m" 2>/dev/null || umount -l "$m" 2>/dev/null
	done < <(awk -v t="$T/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
	chmod -R u+rwX "$T" 2>/dev/null
	rm -rf "$T" || left="$left; files in $T"
	[ -z "$left" ] || { echo "FAIL: left behind${left}" >>"$scratch/$name.log"; [ $rc -eq 77 ] && rc=1; [ $rc -eq 0 ] && rc=1; }
	case $rc in
	0) verdict=PASS ;;
	77) verdict=SKIP ;;
	*) verdict=FAIL ;;
	esac
	echo "$verdict" >"$scratch/$name.verdict"
	# One write, so that tests that run side by side do not mix their lines.
	{
		printf '%s %s/%s (%s, %d s)' "$verdict" "${tests##*/}" "$name" "$user" $((SECONDS - start))
		[ $verdict = SKIP ] && printf ': %s' "$(tail -1 "$scratch/$name.log")"
		echo
		[ $verdict != FAIL ] || tail -n 60 "$scratch/$name.log" | sed 's/^/    /'
	} >"$scratch/$name.shown"
	cat "$scratch/$name.shown"
	exit 0
fi

trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM HUP
for f in "$DXFS_BIN/dxfs" "$TEST_REGISTRY" "$TREECMP" "$OPFUZZ" "$POSIX" "$LIVE"; do
	[ -x "$f" ] || { echo "e2e: $f is not there: build first" >&2; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
done
if [ -z "${FIXTURES:-}" ]; then
	FIXTURES=$scratch/fixtures
	node "$top/tests/fixtures/make.js" "$FIXTURES" >/dev/null || exit 1
fi
if [ $# -eq 0 ]; then
	for t in "$tests"/*.sh; do
		case ${t##*/} in run.sh | lib.sh) continue ;; esac
		[ -x "$t" ] && set -- "$@" "$(basename "$t" .sh)"
	done
fi
# What stands outside the tests' folders must be as before.
# (Unit tests, which tests/run.sh has running beside these, have theirs in /tmp/dxfs-test-*.)
outside() { find /tmp /dev/shm -maxdepth 1 -user "$user" -name 'dx*' ! -name 'dxfs-test-*' 2>/dev/null | sort; }
outside >"$scratch/outside"
printf '%s\n' "$@" | xargs -P "${JOBS:-2}" -I{} "$here/run.sh" --one "$scratch" {}
unsteady_max=2
mapfile -t again < <(cd "$scratch" && grep -sl FAIL -- *.verdict)
if [ ${#again[@]} -le $unsteady_max ] && [ $# -gt 1 ]; then
	for name in "${again[@]%.verdict}"; do
		seed=$(sed -n '/^\(FAULTS_\)\?SEED=[0-9]\+$/{p;q}' "$scratch/$name.log")
		env ${seed:+"$seed"} "$here/run.sh" --one "$scratch" "$name"
		! grep -q PASS "$scratch/$name.verdict" || echo "UNSTEADY ${tests##*/}/$name ($user): failed beside others, passes alone${seed:+, with $seed}"
	done
fi
passed=$(cat "$scratch"/*.verdict 2>/dev/null | grep -c PASS)
skipped=$(cat "$scratch"/*.verdict 2>/dev/null | grep -c SKIP)
failed=$(($# - passed - skipped))
if [ "${JOBS:-2}" != 0 ] && ! outside | diff "$scratch/outside" - >"$scratch/outside.diff"; then
	echo "note: appeared or went outside the tests' folders:"
	cat "$scratch/outside.diff"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
