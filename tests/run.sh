#!/usr/bin/env bash
# run.sh [STEP...] - everything that must hold, on a Debian 12 machine; installs what is missing.
# Steps, all if none is named: gcc clang asan tsan format shell tidy e2e crafted containers registry.
#   gcc       build/ with --werror, suites unit, check, cmd, tools, oracle (npm's own code) and fuzz
#             (the corpora, replayed)
#   clang, asan, tsan   the same tests built by clang, by gcc with ASan and UBSan, by clang with TSan
#   format    clang-format;  shell: shellcheck over all scripts;  tidy: clang-tidy (.clang-tidy)
#   e2e       tests/e2e as root and as an ordinary user, who is made (and removed) if need be
#   crafted   the oracle over the crafted projects, as root and as the ordinary user
#   containers  tests/containers, with Podman and runc, as root; skipped where they cannot be
#   registry  tests/registry/{projects,resolve,tools,scripts,containers,fetch,imports}.sh, from a real
#             registry; skipped where none answers. By hand: resolve.sh all, dedupe.sh (npm takes long)
# The oracle is npm 11. Where npm is older (Debian 12 has 9), npm 11 and a node that runs it are
# taken from the registry that npm is configured for, into the scratch folder; where that does not
# answer, what needs npm 11 is skipped. Each step is named as it starts, with the seconds so far.
# Outside the build folders, the packages installed and npm's cache nothing stays, also not when
# interrupted. What hangs is ended: each kind of tests at its limit, and all at whole_limit.
# Ends with the line "N passed, N failed, N skipped", the sum of all; exit status 1 on a failure.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -u -o pipefail
exec </dev/null
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=/dev/null
. tests/lib/env.sh
steps=${*:-gcc clang asan tsan format shell tidy e2e crafted containers registry}
scratch=$(mktemp -d /tmp/dxfs-run.XXXXXX) || exit 1
mkdir -m 1777 "$scratch/tmp" && chmod 755 "$scratch" && mkfifo "$scratch/never" || exit 1
# The mark by which cleanup finds what a step has started.
export TMPDIR=$scratch/tmp DXFS_RUN=$scratch
machine_path=$PATH
made_user='' fuse_mode=''
sudo=''
[ "$(id -u)" -eq 0 ] || sudo='sudo -n'
# Seconds for everything, which takes 25 minutes where nothing else runs; CI gives 90. WHOLE_LIMIT: others.
whole_limit=${WHOLE_LIMIT:-4500}

ours() {
	# shellcheck disable=SC2046 # pids
	echo $(jobs -p) $($sudo env -u DXFS_RUN grep -lszxF "DXFS_RUN=$scratch" /proc/[0-9]*/environ | cut -d/ -f3)
}

# shellcheck disable=SC2317 # called by the trap
cleanup() {
	local signal pid pids m end
	trap '' INT TERM HUP
	trap - EXIT
	cd /
	for signal in TERM KILL; do
		pids=$(ours)
		# shellcheck disable=SC2086
		[ -z "$pids" ] || $sudo kill -$signal $pids
		end=$((SECONDS + 20))
		for pid in $pids; do
			[ $SECONDS -ge $end ] || timeout 10 tail --pid="$pid" -f /dev/null
		done
	done 2>/dev/null
	awk -v s="$scratch/" 'index($5, s) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
		while read -r m; do $sudo umount -l "$m"; done
	[ -z "$made_user" ] || $sudo userdel -rf "$made_user" >/dev/null 2>&1
	[ -z "$fuse_mode" ] || $sudo chmod "$fuse_mode" /dev/fuse
	$sudo timeout 120 rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# attended COMMAND...: in the background, so that a signal is heeded at once.
attended() {
	"$@" &
	wait $!
}

wanted() {
	local s
	[ ! -e "$scratch/over" ] || return 1
	for s in "$@"; do
		case " $steps " in *" $s "*) return 0 ;; esac
	done
	return 1
}

say() { printf '== %s (%d s)\n' "$*" $SECONDS; }

# tally NAME PASSED FAILED SKIPPED: one file a step, so that steps may run side by side.
tally() {
	echo "$2 $3 $4" >>"$scratch/tally.$1"
	say "$1: $2 passed, $3 failed, $4 skipped"
}

# tally_log NAME LOG: the last "N passed, N failed[, N skipped]" of a log; none is a failure.
tally_log() {
	local line
	line=$(grep -oE '[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?' "$2" | tail -1 | tr -dc '0-9 ')
	# shellcheck disable=SC2086
	set -- "$1" ${line:-0 1 0}
	tally "$1" "$2" "$3" "${4:-0}"
}

total() {
	cat "$scratch"/tally.* | awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f != 0 }'
}

# nap SECONDS: without a process that cleanup would have to find.
nap() { read -rt "$1" <>"$scratch/never"; }

# thrice COMMAND...: what asks the network, or waits for a lock of the machine's own updates.
thrice() {
	"$@" || { attended nap 10; "$@"; } || { attended nap 60; "$@"; }
}

# In the background. When time is over no step begins any more, and what runs is ended again and
# again, so that the steps that wait for it come to their end and are told; they have two minutes.
# Where even that hangs the sum is told from here.
watch() {
	local end=$((whole_limit + 120)) me=$BASHPID pids
	nap "$whole_limit"
	touch "$scratch/over"
	tally "time" 0 1 0
	say "not at its end after $whole_limit s: ending what runs"
	while [ $SECONDS -lt $end ]; do
		pids=$(ours)
		# shellcheck disable=SC2086
		[ -z "$pids" ] || $sudo kill -KILL $pids
		nap 2
	done 2>/dev/null
	tail -n 200 "$scratch/other_builds.log" 2>/dev/null
	total
	# Also the shells that wait, which would keep our output open.
	pids=$(ps -eo pid=,ppid= | awk -v top=$$ -v me="$me" '{ up[$1] = $2 }
		END { for (p in up) { for (q = p; q in up && q != top && q != me; q = up[q]); if (q == top && p != top) print p } }')
	trap '' INT TERM HUP
	# shellcheck disable=SC2086
	$sudo kill -KILL $$ $pids
	cleanup
}

# ---- what is needed ----

install_missing() {
	local p missing=()
	for p in gcc g++ clang libclang-rt-dev clang-format clang-tidy shellcheck meson ninja-build pkg-config git curl openssl procps fuse3 \
		libfuse3-dev libxxhash-dev libssl-dev libcjson-dev libcurl4-openssl-dev libdeflate-dev zlib1g-dev \
		libcadical-dev libcriterion-dev libmicrohttpd-dev ca-certificates; do
		dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing+=("$p")
	done
	command -v node >/dev/null || missing+=(nodejs)
	command -v npm >/dev/null || missing+=(npm)
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing ${missing[*]}"
	[ -z "$sudo" ] || $sudo true 2>/dev/null || sudo -v || return 1
	# shellcheck disable=SC2086
	{ thrice attended $sudo apt-get update -qq && thrice attended $sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq -o DPkg::Lock::Timeout=120 --no-install-recommends "${missing[@]}"; } >"$scratch/apt.log" 2>&1 || {
		tail -20 "$scratch/apt.log"
		return 1
	}
}

# Where it cannot be had, tests/containers says what is missing.
install_podman() {
	local p missing=()
	for p in podman runc conmon uidmap; do
		dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing ${missing[*]}"
	# shellcheck disable=SC2086
	attended $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=120 --no-install-recommends "${missing[@]}" \
		>"$scratch/podman.log" 2>&1 || tail -3 "$scratch/podman.log"
}

# npm and others write below HOME.
writable_home() {
	local home=${HOME:-}
	[ -n "$home" ] || home=$(getent passwd "$(id -u)" | cut -d: -f6)
	if ! [ -d "$home" ] || ! [ -w "$home" ]; then
		export npm_config_userconfig=${npm_config_userconfig:-$home/.npmrc}
		home=$scratch/home
		mkdir "$home" || return 1
	fi
	export HOME=$home
}

# e2e/http2.sh wants nginx. It is taken out of its package, not installed: that would start a server.
need_nginx() {
	local dir=$scratch/nginx
	! command -v nginx >/dev/null && ! [ -x /usr/sbin/nginx ] || return 0
	mkdir "$dir" && (cd "$dir" && attended apt-get -qq -o APT::Sandbox::User=root download nginx && dpkg -x nginx_*.deb .) >"$scratch/nginx.log" 2>&1
	[ -x "$dir/usr/sbin/nginx" ] && export NGINX=$dir/usr/sbin/nginx
}

# npm 11 and its node before the machine's own in PATH, if that is older.
oracle_npm() {
	local version lib=$scratch/oracle/lib bin=$scratch/oracle/bin
	version=$(npm --version)
	[ "${version%%.*}" -lt 11 ] || return 0
	say "npm $version is not the oracle; fetching npm 11"
	mkdir -p "$lib" "$bin" "$scratch/oracle/etc"
	if attended timeout 900 npm install --prefix "$lib" --no-save --ignore-scripts --no-audit --no-fund --fetch-retries=3 \
		--fetch-retry-mintimeout=2000 --fetch-retry-maxtimeout=10000 \
		npm@11.19.1 "node-linux-$(node -p process.arch)@20" >"$scratch/npm.log" 2>&1 &&
		mv "$lib"/node_modules/node-linux-*/bin/node "$bin/" &&
		ln -s ../lib/node_modules/npm/bin/npm-cli.js "$bin/npm" &&
		version=$(PATH=$bin:$PATH npm --version 2>>"$scratch/npm.log"); then
		cp "$(npm config get globalconfig)" "$scratch/oracle/etc/npmrc" 2>/dev/null
		PATH=$bin:$PATH
		say "the oracle is npm $version on node $(node --version)"
	else
		tail -5 "$scratch/npm.log"
		say "no registry answers that has npm 11; what compares with it is skipped"
	fi
}

# An ordinary user may mount where /dev/fuse lets him, and unmount where there is an /etc/mtab;
# distributions have the one at 0666 and the other as a link, containers may not.
open_fuse() {
	[ -e /etc/mtab ] || $sudo ln -s /proc/self/mounts /etc/mtab
	[ -e /dev/fuse ] || $sudo modprobe fuse 2>/dev/null
	[ -e /dev/fuse ] || return 1
	[ "$(stat -c %a /dev/fuse)" = 666 ] && return 0
	fuse_mode=$(stat -c %a /dev/fuse)
	$sudo chmod 0666 /dev/fuse || fuse_mode=''
	[ -r /dev/fuse ] && [ -w /dev/fuse ]
}

# ---- meson builds ----

# build_and_test NAME DIR SUITES [meson options]; the compiler is in $CC.
build_and_test() {
	local name=$1 dir=$2 suites=$3 log=$scratch/$1.log s rc run=(env '--default-signal=INT,QUIT')
	shift 3
	say "$name: building"
	# The scratch folder's npm is for the tests; a build outlives it.
	{ [ -f "$dir/build.ninja" ] || attended env PATH="$machine_path" meson setup "$dir" --werror "$@"; } >"$log" 2>&1 &&
		attended env PATH="$machine_path" ninja -C "$dir" >>"$log" 2>&1 || {
		grep -vE 'YES \(cached\)|^\[[0-9]+/[0-9]+\] (Comp|Link|Gen)' "$log" | tail -60
		tally "$name" 0 1 0
		return 1
	}
	# TSan's shadow memory wants less randomness than today's kernels give.
	[ "$name" != tsan ] || run+=(setarch "$(uname -m)" -R)
	set --
	for s in $suites; do set -- "$@" --suite "$s"; done
	attended "${run[@]}" meson test -C "$dir" --no-rebuild --print-errorlogs "$@" >"$log" 2>&1
	rc=$?
	sed -n "s/^SKIP:* /SKIP $name: /p" "$dir/meson-logs/testlog.txt"
	tally_meson "$name" "$log" $rc
}

meson_count() { # of $log
	local n
	n=$(sed -nE "s/^$1: +([0-9]+) *$/\\1/p" "$log" | tail -1)
	echo "${n:-0}"
}

tally_meson() { # NAME LOG STATUS
	local ok fail skip log=$2
	ok=$(meson_count Ok) skip=$(meson_count Skipped)
	fail=$(($(meson_count Fail) + $(meson_count Timeout) + $(meson_count 'Unexpected Pass')))
	[ "$3" -eq 0 ] || [ "$fail" -gt 0 ] || fail=1
	[ "$fail" -eq 0 ] || sed -n '/FAIL\|TIMEOUT/,$p' "$log" | tail -120
	tally "$1" "$ok" "$fail" "$skip"
}

# ---- steps ----

# The clone may be another user's.
sources() { git -c safe.directory='*' ls-files "$@"; }

step_format() {
	local files
	files=$(sources '*.c' '*.h')
	# shellcheck disable=SC2086
	if [ -n "$files" ] && clang-format --dry-run --Werror $files >"$scratch/format.log" 2>&1; then
		tally format 1 0 0
	else
		grep -E 'error:' "$scratch/format.log" | cut -d: -f1 | sort | uniq -c
		tally format 0 1 0
	fi
}

step_shell() {
	local files
	files=$(sources '*.sh' .ci/run)
	# shellcheck disable=SC2086
	if [ -n "$files" ] && shellcheck -S warning $files; then
		tally shell 1 0 0
	else
		tally shell 0 1 0
	fi
}

# What meson would compile with clang; nothing is built.
step_tidy() {
	local log=$scratch/tidy.log
	if CC=clang attended env PATH="$machine_path" meson setup "$scratch/tidy" >"$log" 2>&1 &&
		sources 'core/*.c' 'lock/*.c' 'fetch/*.c' 'fs/*.c' |
		xargs -P "$(nproc)" -n 4 clang-tidy -quiet -p "$scratch/tidy" >"$log" 2>>"$scratch/tidy.err"; then
		tally tidy 1 0 0
	else
		grep -A3 -E '(error|warning):' "$log" || tail -20 "$log" "$scratch/tidy.err"
		tally tidy 0 1 0
	fi
}

# What an ordinary user needs, in a place that he can reach.
make_kit() {
	kit=$scratch/kit
	mkdir -p "$kit/build/fs" "$kit/build/tests/registryd" "$kit/build/tests/tools"
	cp -a build/fs/dxfs build/fs/dx "$kit/build/fs/" &&
		cp -a build/tests/registryd/test-registry "$kit/build/tests/registryd/" &&
		cp -a build/tests/tools/{treecmp,opfuzz,posix,live} "$kit/build/tests/tools/" &&
		cp -ax tests "$kit/" &&
		node tests/fixtures/make.js "$kit/fixtures" >/dev/null &&
		chmod -R a+rX "$kit"
}

# as_root COMMAND..., as_user COMMAND...; 77 where that cannot be.
as_root() {
	[ -z "$sudo" ] || $sudo true 2>/dev/null || return 77
	$sudo env --default-signal=INT,QUIT PATH="$PATH" TMPDIR="$TMPDIR" DXFS_RUN="$scratch" FIXTURES="$kit/fixtures" "$@"
}

as_user() {
	if [ -z "$made_user" ]; then
		[ "$(id -u)" -ne 0 ] || return 77
		env --default-signal=INT,QUIT FIXTURES="$kit/fixtures" "$@"
		return
	fi
	cd / && runuser -u "$made_user" -- env --default-signal=INT,QUIT -u XDG_RUNTIME_DIR PATH="$PATH" \
		HOME="$(getent passwd "$made_user" | cut -d: -f6)" USER="$made_user" FIXTURES="$kit/fixtures" "$@"
}

make_user() {
	[ "$(id -u)" -eq 0 ] || return 0
	useradd -m -s /bin/bash "dxfs-$$" && made_user=dxfs-$$
}

# Seconds for all tests of a kind, against what hangs; an idle machine takes a quarter. One that
# hangs so long leaves time for the others, see whole_limit.
side_limit=2400

# side NAME WHO COMMAND...: as root or as the ordinary user.
side() {
	local name=$1 who=$2 rc
	shift 2
	say "$name as $who"
	attended "as_$who" timeout -k 20 "$side_limit" "$@" >"$scratch/$name.$who.log" 2>&1
	rc=$?
	if [ $rc -eq 77 ]; then
		grep '^SKIP' "$scratch/$name.$who.log" || echo "SKIP $name as $who: cannot become $who here"
		tally "$name.$who" 0 0 1
		return
	fi
	grep -vE '^PASS ' "$scratch/$name.$who.log"
	tally_log "$name.$who" "$scratch/$name.$who.log"
}

# both NAME COMMAND...: as both, side by side, since these tests mostly wait.
both() {
	local name=$1 root
	shift
	side "$name" root "$@" &
	root=$!
	side "$name" user "$@" &
	wait $! $root
}

step_containers() {
	[ "$(id -u)" -eq 0 ] || $sudo true 2>/dev/null || { echo "SKIP containers: cannot become root here"; tally containers 0 0 1; return; }
	install_podman
	side containers root "$PWD/tests/containers/run.sh"
}

# registry_suites "NAME ARGUMENTS..."...
registry_suites() {
	local suite t log
	for suite in "$@"; do
		[ ! -e "$scratch/over" ] || return
		t=${suite%% *}
		log=$scratch/registry.$t.log
		say "registry/$suite"
		# shellcheck disable=SC2086 # its arguments
		attended env --default-signal=INT,QUIT timeout -k 20 "$side_limit" "tests/registry/$t.sh" ${suite#"$t"} >"$log" 2>&1
		if [ $? -eq 77 ]; then
			tail -1 "$log"
			tally "registry.$t" 0 0 1
			continue
		fi
		grep -v ': same: \|^PASS ' "$log" | tail -150
		tally_log "registry.$t" "$log"
	done
}

# Side by side: npm ci for the projects takes as long as all the others.
step_registry() {
	local projects
	registry_suites projects "resolve express vite monorepo" &
	projects=$!
	registry_suites tools fetch scripts imports containers &
	wait $! $projects
}

mounting() {
	if ! make_kit; then
		echo "FAIL: the build lacks what the mounting tests need"
		tally mounting 0 1 0
	elif ! open_fuse; then
		echo "SKIP: no /dev/fuse on this machine"
		tally mounting 0 0 1
	else
		! wanted e2e crafted || make_user
		! wanted e2e || both e2e "$kit/tests/e2e/run.sh"
		! wanted crafted || both crafted "$kit/tests/crafted.sh"
		! wanted containers || step_containers
		! wanted registry || step_registry
	fi
}

other_builds() {
	! wanted tidy || step_tidy
	! wanted clang || CC=clang build_and_test clang build-clang "unit fuzz"
	! wanted asan || CC=gcc build_and_test asan build-asan "unit tools fuzz" -Db_sanitize=address,undefined -Db_lundef=false
	! wanted tsan || CC=clang build_and_test tsan build-tsan unit -Db_sanitize=thread -Db_lundef=false
}

watch &
writable_home && install_missing || { echo "what is needed could not be installed"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
! wanted gcc e2e crafted registry || oracle_npm
! wanted e2e registry || need_nginx
! wanted format || step_format
! wanted shell || step_shell
built=true
if wanted gcc e2e crafted containers registry; then
	CC=gcc build_and_test gcc build "unit check cmd tools fuzz oracle" || built=false
fi
# Compilers on one side, mounts on the other: the second mostly waits.
other_builds >"$scratch/other_builds.log" 2>&1 &
builds=$!
if $built && wanted e2e crafted containers registry; then
	mounting
fi
wait $builds
cat "$scratch/other_builds.log"

total
