#!/usr/bin/env bash
# An image layer made with dx export: the tree is right, the store is not in it, and it runs.
. "$(dirname "$0")/lib.sh"
start_registry
project nested
echo 'console.log("served", require("leaf/package.json").version)' >server.js
dx export --omit=dev "$T/expected" >/dev/null 2>&1
recipe Dockerfile >Dockerfile
image=localhost/layer-$$
# shellcheck disable=SC2034 # for lib.sh
MADE_IMAGE=$image
build() {
	podman build --network host --env npm_config_registry="$REG/" -t $image . >"$T/built" 2>&1 || fail "$(tail -20 "$T/built")"
}
forget_requests
build
asked=$(requests '\.tgz')
[ "$asked" -gt 0 ] || fail "nothing was fetched"
same "it runs" "served $(node -p 'require(process.argv[1]).version' "$T/expected/leaf/package.json")" "$(run_in --read-only $image)"
run_in $image tar -c node_modules | tar -x -C "$T"
"$TREECMP" "$T/expected" "$T/node_modules" || fail "another tree"
same "blobs in the image" '' "$(run_in $image find / -xdev -name '*.dxp')"

# Built again, for another server: the layer is there. For another lock: the packages are.
echo '// another' >>server.js
forget_requests
build
grep -q 'Using cache' "$T/built" || fail "the layer was not used again: $(cat "$T/built")"
echo >>package-lock.json
build
same "asked for again" 0 "$(requests '\.tgz')"
