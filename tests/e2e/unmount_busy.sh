#!/usr/bin/env bash
# A mount that goes away under a parallel load, with requests parked and downloads under way: every
# reader ends, the daemon ends, and (in a build with sanitizers) nothing was wrong meanwhile.
. "$(dirname "$0")/lib.sh"
export ASAN_OPTIONS="log_path=$T/sanitizer:detect_leaks=1" TSAN_OPTIONS="log_path=$T/sanitizer"
export UBSAN_OPTIONS="log_path=$T/sanitizer"
start_registry
project containers

load() {
	find node_modules -type f -exec cat {} + &
	tar cf - node_modules | wc -c &
	node -e 'const fs = require("fs");
		const walk = d => { for (const e of fs.readdirSync(d, { withFileTypes: true })) {
			const p = d + "/" + e.name;
			if (e.isDirectory()) walk(p); else try { fs.readFileSync(p); } catch {} } };
		walk("node_modules");' &
	for p in gz-members/a.js gz-zeros/a.js gz-none/a.js tar-many/d1/e1/f1.js tar-big/after.js; do
		timeout 240 cat "node_modules/$p" &
	done
}

for round in 1 2 3 4; do
	rm -rf "$T/store"
	case $round in
	1) fault "match=tar-&kind=hang" ;;
	2) fault "match=.tgz&kind=delay&ms=100" ;;
	3) fault "match=gz-&kind=hang" ;;
	esac
	mount_it --prefetch=background
	pids=$(daemons)
	load >/dev/null 2>&1
	case $round in 1 | 3) until_true 60 in_flight .tgz ;; esac
	dxfs status --json ./node_modules >/dev/null
	dxfs unmount --lazy ./node_modules
	no_faults
	wait
	# shellcheck disable=SC2086 # process ids
	gone $pids
	same "mounts that are left" 0 "$(mounts)"
done
if compgen -G "$T/sanitizer*" >/dev/null; then
	cat "$T"/sanitizer*
	fail "a sanitizer had something to say"
fi
