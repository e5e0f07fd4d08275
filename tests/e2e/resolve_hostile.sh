#!/usr/bin/env bash
# dx lock against a registry that says too much: it ends with a sentence, and within 3 GiB of address
# space.
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)

command -v node >/dev/null || skip 'no node'
mkfifo "$T/port"
node "$here/hostile.js" >"$T/port" &
# shellcheck disable=SC2034 # for lib.sh, which ends it
REG_PID=$!
read -r port <"$T/port"
export npm_config_registry=http://127.0.0.1:$port/
mkdir "$T/p"
cd "$T/p"

refuses() { # refuses NAME WORDS
	echo "{\"dependencies\":{\"$1\":\"*\"}}" >package.json
	(
		ulimit -v 3000000
		fails 1 "$DXFS_BIN/dx" lock
	)
	cat "$T/out"
	grep -q -- "$2" "$T/out" || fail "$1: no word of $2"
	[ ! -e dx.lock ] || fail "$1: a lock was written"
}
refuses huge 'a body of more than 268435456 bytes'
refuses large 'nested too deeply'
refuses many 'more versions or dependencies than can be true'

# What it is called cannot write on the terminal.
echo '{"dependencies":{"x":"git+https://127.0.0.1:1/\u001b[31mred\u0007"}}' >package.json
for how in '' --explain --dedupe; do
	# shellcheck disable=SC2086 # none is none
	fails 1 "$DXFS_BIN/dx" lock $how
	! grep -q "$(printf '[\033\007]')" "$T/out" || fail "dx lock $how: $(cat -v "$T/out")"
done
grep -qF '?[31mred?' "$T/out" || fail "it is not said: $(cat "$T/out")"

# What makes no sense is left out.
echo '{"dependencies":{"list":"*"}}' >package.json
dx lock
dx lock export dx.lock | sees '"version": "1.0.0"' || fail 'the one version that makes sense'
[ -z "$(find "$DX_STORE" -name '*body*')" ] || fail 'a temporary file is left'
