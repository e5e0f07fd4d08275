#!/usr/bin/env bash
# A registry that is away, refuses or dawdles: EIO, and a line that names package, URL and reason.
. "$(dirname "$0")/lib.sh"
start_registry
project cycles

# told WORDS: reading leaf fails, and the log and status say why.
told() {
	echo "-- $1"
	local line reason
	mount_it --prefetch=none
	fails 1 timeout $PATIENCE cat node_modules/leaf/index.js
	grep -q 'Input/output error' "$T/out" || fail "$1: $(cat "$T/out")"
	line=$(find "$T/state" -name log -exec cat {} + | grep ' error: ' | tail -1)
	[[ $line == *" error: leaf@1.1.0: "* ]] || fail "$1: the log does not name the package: $line"
	grep -qE -- "$1" <<<"$line" || fail "no '$1' in the log: $line"
	reason=$(status 's.errors.at(-1).reason')
	grep -qE -- "$1" <<<"$reason" || fail "no '$1' in the status: $reason"
	[[ $reason != leaf@* ]] || fail "the package is named twice: $reason"
	unmount_it
	find "$T/state" -name log -exec truncate -s 0 {} +
	no_faults 2>/dev/null || true
}
url="$REG/leaf/-/leaf-1.1.0.tgz"
fault 'match=leaf-1.1.0&kind=status&code=404'
told "$url.*404|404.*$url"
fault 'match=leaf-1.1.0&kind=status&code=401'
told "$url: 401, no credentials of .npmrc fit"
fault 'match=leaf-1.1.0&kind=status&code=403'
told "$url: 403, "
fault 'match=leaf-1.1.0&kind=status&code=429'
told "$url: the server answered 429, too many requests; try again later"
fault 'match=leaf-1.1.0&kind=status&code=500'
told "$url: the server answered 500, it is out of order; try again later"
fault 'match=leaf-1.1.0&kind=status&code=503&retry_after=86400'
told "$url: the server answered 503"
fault 'match=leaf-1.1.0&kind=cut&bytes=40'
told "$url: .*closed.*remaining"
fault 'match=leaf-1.1.0&kind=flip'
told "$url: .*(digest|integrity|sha512)"
fault 'match=leaf-1.1.0&kind=reset'
told "$url: "
fault 'match=leaf-1.1.0&kind=type&value=text/html&body=captive'
told "$url: .*(digest|integrity|sha512)"

# Slow is not away: a trickle comes to its end, silence does not.
export npm_config_fetch_timeout=1000
fault 'match=leaf-1.1.0&kind=hang'
told "$url: not a byte came for 1000 ms"
fault 'match=leaf-1.1.0&kind=rate&bps=150'
# On a machine that stands still for a second nothing comes in that time, either.
for _ in 1 2 3 4 5 6; do
	mount_it --prefetch=none
	came=0
	cat node_modules/leaf/index.js >/dev/null || came=$?
	unmount_it
	[ $came != 0 ] || break
done
same "slow, but it came" 0 $came
no_faults
unset npm_config_fetch_timeout
rm -rf "$T/store"

stop_registry
told "$url: .*(refused|connect)"
npm_config_registry=http://registry.invalid/ told 'http://registry.invalid/leaf/-/leaf-1.1.0.tgz: .*[Rr]esolv'
for bad in ftp://registry.test/ http://127.0.0.1:1/; do
	npm_config_registry=$bad
	mount_it --prefetch=none >"$T/out" 2>&1 && cat node_modules/leaf/index.js >>"$T/out" 2>&1 && fail "registry '$bad': it was read"
	! mountpoint -q node_modules || unmount_it
	cat "$T/out" "$T"/state/dxfs/*/log | sees -F "$bad" || fail "registry '$bad' is not named: $(cat "$T/out" "$T"/state/dxfs/*/log)"
done
# dx fetch: the same words, exit 1.
export npm_config_registry=$REG/
fails 1 dx fetch
grep -qE "leaf@1.1.0: $url: .*(refused|connect)" "$T/out" || fail "dx fetch: $(cat "$T/out")"
