#!/bin/sh
# selftest.sh TREECMP TEST-REGISTRY OPFUZZ - can the tools that judge dxfs see what is wrong?
set -eu
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/env.sh"
loopback_only
treecmp=$1 registry=$2 opfuzz=$3
dir=$(mktemp -d)
export HOME="$dir" # curl reads a file there
pid=''
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$dir"' EXIT

fail() {
	echo "FAIL: $*"
	exit 1
}

# ---- treecmp: two equal trees, then one difference of each kind ----

mkdir -p "$dir/a/d/e"
echo one >"$dir/a/f"
echo two >"$dir/a/d/g"
: >"$dir/a/d/empty"
ln -s ../f "$dir/a/d/l"

fresh() {
	rm -rf "$dir/b"
	cp -a "$dir/a" "$dir/b"
}

sees() { # TEXT: the tree b, changed, must be told apart with that text
	"$treecmp" "$dir/a" "$dir/b" >"$dir/out" && fail "treecmp does not see: $1"
	grep -qF -- "$1" "$dir/out" || fail "treecmp says, instead of '$1': $(cat "$dir/out")"
	fresh
}

fresh
"$treecmp" "$dir/a" "$dir/b" >"$dir/out" || fail "treecmp: equal trees: $(cat "$dir/out")"
grep -q '^6 entries in both, 8 bytes, 0 differences$' "$dir/out" || fail "treecmp counts: $(cat "$dir/out")"
echo onf >"$dir/b/f" && sees "f: bytes differ at 2"
echo longer >"$dir/b/f" && sees "f: 4 bytes in A, 7 in B"
chmod 755 "$dir/b/d/g" && sees "d/g: mode 0644 in A, 0755 in B"
chmod 700 "$dir/b/d" && sees "d: mode"
rm "$dir/b/d/empty" && sees "d/empty: only in A"
: >"$dir/b/d/more" && sees "d/more: only in B"
ln -sfn f "$dir/b/d/l" && sees "d/l: link to"
rm "$dir/b/d/l" && cp "$dir/b/f" "$dir/b/d/l" && sees "d/l: a symlink in A, a file in B"

# ---- opfuzz: two folders answer alike; one that is not what it was, or forgets, does not ----

mkdir -p "$dir/fuzz/base/d/e"
echo one >"$dir/fuzz/base/f"
echo two >"$dir/fuzz/base/d/g"
ln -s d/g "$dir/fuzz/base/l"
cat >"$dir/fuzz/between" <<'EOF'
cd "$(dirname "$0")"
if [ "$1" = fresh ]; then
	for i in a/t b/t; do
		[ ! -d $i ] || chmod -R u+rwX $i
		mkdir -p "${i%/t}" && rm -rf $i && cp -a base $i || exit 1
	done
fi
eval "${SPOIL:-}"
EOF
fuzz() {
	SPOIL=$1 "$opfuzz" --seed=1 --sequences=20 --shrink=5 --between="sh $dir/fuzz/between" \
		"$dir/fuzz/a/t" "$dir/fuzz/b/t" >"$dir/out"
}
notices() { # TEXT SPOIL
	fuzz "$2" && fail "opfuzz does not notice: $2"
	grep -qF -- "$1" "$dir/out" || fail "opfuzz says, instead of '$1': $(cat "$dir/out")"
}
fuzz '' || fail "opfuzz: two plain folders: $(cat "$dir/out")"
# shellcheck disable=SC2016 # for between
{
	notices "only in A: f: 100600" '[ "$1" != fresh ] || chmod 600 a/t/f'
	notices "only in B: f: 100644 size=4" '[ "$1" != fresh ] || rm a/t/f'
	notices "after unmount and mount" '[ "$1" != again ] || : >a/t/more'
	notices "A is another after unmount and mount" '[ "$1" != again ] || touch a/t/d'
}

# ---- the registry: what it serves, and each thing that it does wrong ----

mkdir -p "$dir/r/@s" "$dir/p/package"
echo '{"name": "foo", "version": "1.0.0"}' >"$dir/p/package/package.json"
tar -C "$dir/p" -czf "$dir/r/foo-1.0.0.tgz" package
echo '{"name": "@s/bar", "version": "2.0.0-rc.1", "bin": "x.js"}' >"$dir/p/package/package.json"
tar -C "$dir/p" -czf "$dir/r/@s/bar-2.0.0-rc.1.tgz" package
"$registry" --background --dir "$dir/r" >"$dir/started"
read -r pid port other <"$dir/started"
url=http://127.0.0.1:$port
foo=$url/foo/-/foo-1.0.0.tgz

get() { # STATUS PATH [curl options]
	want=$1 what=$2
	shift 2
	got=$(curl -s -o "$dir/body" -D "$dir/headers" -w '%{http_code}' "$@" "$what") || got="curl $?"
	[ "$got" = "$want" ] || fail "$what: $got instead of $want"
}

fault() {
	curl -sf -o /dev/null -X DELETE "$url/-/fault"
	curl -sf -o /dev/null -X POST "$url/-/fault?$1" || fail "fault $1 refused"
}

get 200 "$url/foo"
grep -q "\"integrity\":\"sha512-$(openssl dgst -sha512 -binary "$dir/r/foo-1.0.0.tgz" | base64 -w0)\"" "$dir/body" || fail "integrity"
grep -q "\"tarball\":\"$foo\"" "$dir/body" || fail "tarball URL"
etag=$(sed -n 's/^ETag: //Ip' "$dir/headers" | tr -d '\r')
get 304 "$url/foo" -H "If-None-Match: $etag"
get 200 "$url/@s%2fbar"
grep -q '"latest":"2.0.0-rc.1"' "$dir/body" || fail "dist-tags"
get 200 "$url/@s/bar"
get 404 "$url/nothing"
get 200 "$foo"
cmp "$dir/body" "$dir/r/foo-1.0.0.tgz" || fail "bytes of a tarball"
get 206 "$foo" -H 'Range: bytes=10-'
tail -c +11 "$dir/r/foo-1.0.0.tgz" | cmp - "$dir/body" || fail "bytes of a range"
fault 'match=foo&kind=status&code=429&retry_after=7&count=1'
get 429 "$foo"
grep -qi '^retry-after: 7' "$dir/headers" || fail "Retry-After"
get 200 "$foo"
fault 'match=foo&kind=flip'
get 200 "$foo"
! cmp -s "$dir/body" "$dir/r/foo-1.0.0.tgz" || fail "flip flips nothing"
fault 'match=foo&kind=cut&bytes=20'
get "curl 18" "$foo"
fault 'match=foo&kind=garbage&bytes=3'
get 200 "$foo"
[ "$(wc -c <"$dir/body")" -eq $(($(wc -c <"$dir/r/foo-1.0.0.tgz") + 3)) ] || fail "garbage"
fault 'match=foo&kind=reset'
get "curl 52" "$foo"
fault 'match=foo&kind=auth&value=Bearer%20t'
get 401 "$foo"
get 200 "$foo" -H 'Authorization: Bearer t'
fault 'match=foo&kind=redirect&to=other'
get 200 "$foo" -L
curl -s "$url/-/log" | grep -q "^GET /-/via/foo/-/foo-1.0.0.tgz 200 auth=0 port=other$" || fail "log of a redirect"
fault 'match=foo&kind=hang'
curl -s -o /dev/null "$foo" &
hanging=$!
until curl -s "$url/-/inflight" | grep -q foo-1.0.0; do :; done
kill "$pid"
timeout 20 tail --pid="$pid" -f /dev/null || fail "does not end on SIGTERM while a request hangs"
pid=''
! wait $hanging || fail "a hanging request was answered"
[ "$other" -gt 0 ]
