#!/usr/bin/env bash
# timeout: 1800
# Twenty containers at once on one mount each of express and vite: a server's tests and a build, each
# with a .cache of its own; no bytes of packages are copied. tests/registry/containers.sh runs it, with
# PROJECTS_STORE, a store that has their packages.
. "$(dirname "$0")/lib.sh"
[ -n "${PROJECTS_STORE:-}" ] || skip "no store with the packages"
count=${PROJECTS_COUNT:-20}
projects=$(cd "$(dirname "$0")/../projects" && pwd)
export DX_STORE=$PROJECTS_STORE
mounts=()
for p in express vite; do
	cp -a "$projects/$p" "$T/$p"
	dxfs mount --offline --prefetch=none "$T/$p/node_modules" </dev/null
	mounts+=(-v "$T/$p:/$p:O" -v "$T/$p/node_modules:/$p/node_modules:O")
done
one_copy=$(($(du -sk --apparent-size "$T/express/node_modules" | cut -f1) + $(du -sk --apparent-size "$T/vite/node_modules" | cut -f1)))
mkdir "$T/sync"
stored=$(find "$DX_STORE" -name '*.dxp' | wc -l)
before=$(used_kb "$DX_STORE" "$CONTAINERS/root")

one='set -e
	cd /express && node node_modules/.bin/mocha test
	cd /vite && node node_modules/.bin/vite build && ls dist/index.html
	mkdir -p node_modules/.cache && echo $1 >node_modules/.cache/mine
	touch /sync/$1
	until [ -e /sync/all ]; do sleep 0.2; done
	cat node_modules/.cache/mine'
start=$SECONDS containers=()
for i in $(seq "$count"); do
	run_in "${mounts[@]}" -v "$T/sync:/sync" dxfs-test sh -c "$one" sh "$i" >"$T/one.$i" 2>&1 &
	containers+=($!)
done
all_built() {
	[ "$(find "$T/sync" -type f | wc -l)" = "$count" ] || [ "$(jobs -r | wc -l)" -lt "$count" ]
}
until_true 1500 all_built
took=$((SECONDS - start))
added=$(($(used_kb "$DX_STORE" "$CONTAINERS/root") - before))
touch "$T/sync/all"
for i in $(seq "$count"); do
	wait "${containers[$((i - 1))]}" || fail "container $i: $(cat "$T/one.$i")"
	same "its own cache" "$i" "$(tail -1 "$T/one.$i")"
done
same "blobs" "$stored" "$(find "$DX_STORE" -name '*.dxp' | wc -l)"
[ ! -e "$T/vite/node_modules/.cache" ] && [ ! -e "$T/vite/dist" ] || fail "a container wrote on the host"
# Each wrote its build and its cache; one copy of the packages for one container would be a hundred times that.
[ $((added * 5)) -lt "$one_copy" ] || fail "$added KiB were written by $count containers; the packages have $one_copy"
echo "$count containers, $took s: $added KiB written; a copy of the packages is $one_copy KiB"
dxfs unmount "$T/express/node_modules"
dxfs unmount "$T/vite/node_modules"
