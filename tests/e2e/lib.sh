# lib.sh - what an end-to-end test has at hand. Sourced first thing by every tests/e2e/*.sh.
#
# run.sh gives each test a folder of its own, T, in which HOME, the XDG folders and the store
# are; the test's working directory is T. A test fails by `fail`, by a command that fails
# (set -e), or by its time limit; it skips by `skip`. When it ends, mounts are unmounted and the
# registry is stopped here; run.sh then looks for what is left and fails the test for it.
# shellcheck shell=bash
set -eu -o pipefail
: "${T:?run it through tests/e2e/run.sh}"
cd "$T"
REG='' REG_PID=''

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

skip() {
	echo "skip: $*" >&2
	exit 77
}

# same WHAT EXPECTED ACTUAL
same() {
	[ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

# fails STATUS COMMAND...: it must end with just that status. Its output is in $T/out.
fails() {
	local want=$1 got=0
	shift
	"$@" >"$T/out" 2>&1 || got=$?
	[ "$got" = "$want" ] || fail "'$*' ended with $got, not $want: $(head -5 "$T/out")"
}

# Seconds after which what does not come is taken not to come at all, on the busiest machine.
PATIENCE=120

# sees GREP-ARGUMENT...: as grep -q, but reads all: a writer whose reader has gone ends by SIGPIPE, and
# the pipeline with it.
sees() {
	local count
	count=$(grep -c "$@") && [ "$count" -gt 0 ]
}

# until_true SECONDS COMMAND...: for what announces itself nowhere and takes less than that on an idle
# machine; fails when PATIENCE has come to its end.
until_true() {
	local end=$((SECONDS + ($1 > PATIENCE ? $1 : PATIENCE))) what
	shift
	what=$*
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || fail "still not: $what"
		read -rt 0.05 <>"$T/.never" || true
	done
}
[ -p "$T/.never" ] || mkfifo "$T/.never"

# ---- the registry ----

# start_registry [options of test-registry]: of the crafted packages; REG is its URL, REG_OTHER
# the URL of its second port, and npm's configuration points to it.
start_registry() {
	local port other
	read -r REG_PID port other < <("$TEST_REGISTRY" --background --dir "$FIXTURES/registry" "$@")
	REG=http://127.0.0.1:$port
	# shellcheck disable=SC2034 # for the tests
	REG_OTHER=http://127.0.0.1:$other
	export npm_config_registry=$REG/
}

# fixed_port: one that is free, and that no program is given which asks for any.
fixed_port() {
	node -e '
		const low = +require("fs").readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split("\t")[0];
		const any = () => Math.floor(1024 + Math.random() * (low - 1024));
		(function look(port) {
			const s = require("net").createServer().on("error", () => look(any()));
			s.listen(port, "127.0.0.1", () => s.close(() => console.log(port)));
		})(low > 1100 ? any() : 0)'
}

stop_registry() {
	[ -z "$REG_PID" ] || kill "$REG_PID"
	[ -z "$REG_PID" ] || timeout $PATIENCE tail --pid="$REG_PID" -f /dev/null || fail "the registry does not end"
	REG_PID=''
}

# fault 'match=leaf-1.0.0&kind=status&code=500&count=1' (see tests/registryd/fault.h)
fault() {
	curl -sf -o /dev/null -X POST "$REG/-/fault?$1" || fail "registry refused the fault $1"
}

no_faults() {
	curl -sf -o /dev/null -X DELETE "$REG/-/fault"
}

forget_requests() {
	curl -sf -o /dev/null -X DELETE "$REG/-/log"
}

# requests [REGEX]: how many there were since forget_requests.
requests() {
	curl -sf "$REG/-/log" | grep -cE -- "${1:-.}" || true
}

# tarballs: which were asked for, sorted, without the path.
tarballs() {
	curl -sf "$REG/-/log" | sed -nE 's|^GET .*/-/([^ ]*\.tgz) .*|\1|p' | sort | tr '\n' ' ' | sed 's/ $//'
}

in_flight() {
	curl -sf "$REG/-/inflight" | sees -F -- "$1"
}

# ---- projects and mounts ----

# project NAME: a crafted project, copied to T/NAME, the registry's URL put in; goes there.
project() {
	cp -a "$FIXTURES/projects/$1" "$T/$1"
	cd "$T/$1"
	[ -z "$REG" ] || find . -type f \( -name '*.json' -o -name .npmrc \) -exec sed -i "s|http://registry\\.test|$REG|g" {} +
}

dxfs() { "$DXFS_BIN/dxfs" "$@"; }
dx() { "$DXFS_BIN/dx" "$@"; }

# mount_it [options]: ./node_modules of the project we are in.
mount_it() {
	dxfs mount "$@" ./node_modules </dev/null
}

unmount_it() {
	dxfs unmount ./node_modules
}

# mounts: how many mounts lie below T.
mounts() {
	awk -v t="$T/" 'index($5, t) == 1' /proc/self/mountinfo | wc -l
}

# status EXPRESSION: JavaScript over the status object `s` of ./node_modules.
status() {
	dxfs status --json ./node_modules >"$T/status.json"
	node -e '
		let s = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
		if (Array.isArray(s)) s = s[0];
		const r = eval(process.argv[2]);
		console.log(typeof r === "object" ? JSON.stringify(r) : r);' "$T/status.json" "$1"
}

# messages: FUSE messages so far; forgets, which the kernel sends when it likes, left out.
messages() {
	status 'Object.entries(s.messages).filter(([k]) => !/FORGET/i.test(k)).reduce((a, [, n]) => a + n, 0)'
}

# Daemons of this test.
daemons() {
	local pid
	for pid in $(grep -lszxF "DXFS_TEST_RUN=$T" /proc/[0-9]*/environ | cut -d/ -f3); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dxfs ] && echo "$pid"
	done
	return 0
}

# Waits until these processes are gone (an event, no polling).
gone() {
	local pid
	for pid in "$@"; do
		timeout $PATIENCE tail --pid="$pid" -f /dev/null || fail "process $pid does not end"
	done
}

# How often this machine's caches were emptied on demand.
dropped() { grep '^drop_' /proc/vmstat || true; }
DROPPED=$(dropped)

# differs WHAT: fails, unless somebody has emptied the machine's caches since the test began: then
# what was written has numbers other than those that a listing gave before (fs/upper_priv.h).
differs() {
	[ "$DROPPED" = "$(dropped)" ] || skip "$1, but the machine's caches were emptied meanwhile"
	fail "$1"
}

# walk: reads every byte of the tree and every link.
walk() {
	find node_modules -type f -exec cat {} + >/dev/null
	find node_modules -printf '%p %y %m %s %l\n' >/dev/null
}

finish() {
	local rc=$? m
	set +e
	trap - EXIT
	cd /
	if [ $rc -ne 0 ] && [ $rc -ne 77 ] && [ -d "$T" ]; then
		echo "-- the daemons' logs:"
		find "$T" -name '*log' -type f -size -1024k -exec tail -n 20 {} + 2>/dev/null
	fi
	for m in $(awk -v t="$T/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | sort -r); do
		mountpoint -q "$m" && timeout $PATIENCE "$DXFS_BIN/dxfs" unmount "$m"
	done
	stop_registry
	exit $rc
}
trap finish EXIT
trap 'exit 1' INT TERM HUP
