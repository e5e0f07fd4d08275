#!/usr/bin/env bash
# A bad answer is an input/output error with a reason, never wrong bytes; later it works.
. "$(dirname "$0")/lib.sh"
start_registry
project cycles
log_lines() { # how many lines of the daemons' logs name it
	find "$T/state" -name log -exec cat {} + | grep -c -- "$1" || true
}

# Each kind of bad answer, while the failure is not yet remembered.
for bad in kind=status\&code=500 kind=status\&code=403 kind=status\&code=404 kind=flip \
	kind=cut\&bytes=50 kind=garbage\&bytes=9 kind=reset kind=type\&value=text/html\&body=captive; do
	rm -rf "$T/store"
	mount_it --prefetch=none
	fault "match=leaf-1.1.0&$bad"
	fails 1 cat node_modules/leaf/index.js
	grep -q 'Input/output error' "$T/out" || fail "$bad: $(cat "$T/out")"
	same "$bad: failed packages" 1 "$(status s.packages.failed)"
	same "$bad: the error names the package" true "$(status 's.errors.length > 0 && /^leaf@1.1.0$/.test(s.errors.at(-1).package)')"
	[ "$(log_lines 'leaf@1.1.0')" -ge 1 ] || fail "$bad: not in the log"
	no_faults
	# The failure is remembered for some seconds, and then the next access tries again.
	until_true 40 cat node_modules/leaf/index.js
	same "$bad: afterwards" "leaf@1.1.0" "$(node -p 'require("leaf")')"
	unmount_it
done

# A failure is asked for once, not once for each reader.
rm -rf "$T/store"
mount_it --prefetch=none
fault "match=leaf-1.1.0&kind=status&code=403"
forget_requests
start=$SECONDS
for _ in 1 2 3 4 5 6; do fails 1 cat node_modules/leaf/index.js; done
# It may be forgotten meanwhile, where those six take long.
may=$((2 + (SECONDS - start) / 2))
[ "$(requests 'leaf-1.1.0.*403')" -le $may ] || fail "the broken registry was asked $(requests 'leaf-1.1.0.*403') times in a row"
cat node_modules/loader/main.js >/dev/null || fail "one bad package spoils another"
unmount_it
