#!/usr/bin/env bash
# One mount on the host for any number of containers: read-only, under the engine's overlay, and
# each with its own upper; no bytes of packages are copied.
. "$(dirname "$0")/lib.sh"
filled nested
nm=$PWD/node_modules
mount_it --offline --prefetch=none
count=20
stored=$(find "$T/store" -name '*.dxp' -printf '%p %s %T@\n' | sort)

# ---- read-only ----

run_in -v "$nm:/app/node_modules:ro" -w /app dxfs-test sh -c '! touch node_modules/x 2>&1 && node -p "require(\"leaf/package.json\").version"' \
	>"$T/said" 2>&1 || fail "$(cat "$T/said")"
grep -q 'Read-only file system' "$T/said" || fail "$(cat "$T/said")"
same "seen" "$(node -p 'require("leaf/package.json").version')" "$(tail -1 "$T/said")"

# ---- many at once under the engine's overlay, each with its own .cache ----

mkdir "$T/sync"
one='mkdir node_modules/.cache && echo $1 >node_modules/.cache/mine && chmod 600 node_modules/leaf/package.json &&
	echo >>node_modules/leaf/index.js && node -e "require(\"needs-leaf2\")" && cat node_modules/.cache/mine && touch /sync/$1 &&
	until [ -e /sync/all ]; do sleep 0.1; done'
containers=()
for i in $(seq $count); do
	run_in -v "$nm:/app/node_modules:O" -v "$T/sync:/sync" -w /app dxfs-test sh -c "$one" sh "$i" >"$T/one.$i" 2>&1 &
	containers+=($!)
done
all_wrote() { [ "$(find "$T/sync" -type f | wc -l)" = $count ]; }
until_true 300 all_wrote
# What is on disk of them while they run (other tests' containers may run too): what each wrote, and
# nothing else.
for id in $(podman ps -q --no-trunc --filter label="$T"); do
	find "$CONTAINERS/root/images/overlay-containers/$id" -path '*/upper/*' -type f -printf '%P\n'
done | sed 's|.*/upper/||' | sort | uniq -c | tr -s ' ' >"$T/copied"
printf ' %d %s\n' $count .cache/mine $count leaf/index.js $count leaf/package.json | diff - "$T/copied" || fail "other files were copied"
touch "$T/sync/all"
for i in $(seq $count); do
	wait "${containers[$((i - 1))]}" || fail "container $i: $(cat "$T/one.$i")"
	same "its own cache" "$i" "$(cat "$T/one.$i")"
done
[ ! -e node_modules/.cache ] || fail "a container wrote into the host's mount"
same "the package" 644 "$(stat -c %a node_modules/leaf/package.json)"
same "the store" "$stored" "$(find "$T/store" -name '*.dxp' -printf '%p %s %T@\n' | sort)"

# ---- its own upper, kept ----

mkdir -p "$T/own/upper" "$T/own/work"
own="$nm:/app/node_modules:O,upperdir=$T/own/upper,workdir=$T/own/work"
run_in -v "$own" -w /app dxfs-test sh -c 'mkdir node_modules/.cache && echo kept >node_modules/.cache/mine'
same "kept" kept "$(run_in -v "$own" -w /app dxfs-test cat node_modules/.cache/mine)"
same "where it was told to be" kept "$(cat "$T/own/upper/.cache/mine")"

# ---- what the kernel asked for once it asks for no more ----

warm='find node_modules -type f -exec cat {} + >/dev/null'
# The attributes of what was read are asked for once more, in a mount that can be written to.
run_in -v "$nm:/app/node_modules:O" -w /app dxfs-test sh -c "$warm; $warm"
for _ in 1 2 3 4 5 6; do # others may drop the machine's caches at this moment
	first=$(messages)
	run_in -v "$nm:/app/node_modules:O" -w /app dxfs-test sh -c "$warm"
	asked=$(($(messages) - first))
	[ $asked -gt 2 ] || break
done
[ $asked -le 2 ] || fail "$asked messages for a tree that was read before, under an overlay: $(status s.messages)"

# ---- an overlay and a lock that changes ----

podman run -d --label "$T" --name "lock-$$" -v "$nm:/app/node_modules:O" -v "$nm:/bind:ro" -w /app dxfs-test sh -c '
	ls node_modules node_modules/needs-leaf2 /bind/needs-leaf2 >/dev/null
	until ! [ -e /bind/needs-leaf2 ]; do sleep 0.05; done
	ls node_modules; cat node_modules/leaf/package.json' >/dev/null
seen() { podman top "lock-$$" args | sees sleep; }
until_true 20 seen
node -e '
	const fs = require("fs"), lock = JSON.parse(fs.readFileSync("package-lock.json")), pkg = JSON.parse(fs.readFileSync("package.json"));
	for (const place of Object.keys(lock.packages)) if (/needs-leaf2/.test(place)) delete lock.packages[place];
	for (const of of [pkg, lock.packages[""]]) delete of.dependencies["needs-leaf2"];
	fs.writeFileSync("package.json", JSON.stringify(pkg));
	fs.writeFileSync("package-lock.json", JSON.stringify(lock));'
same "it ends when the lock has come" 0 "$(timeout $PATIENCE podman wait "lock-$$")"
podman logs "lock-$$" >"$T/said" 2>&1
podman rm "lock-$$" >/dev/null
! grep -q needs-leaf2 "$T/said" || fail "what went is listed under an overlay: $(cat "$T/said")"
grep -q '"leaf"' "$T/said" || fail "what stayed is not there: $(cat "$T/said")"
unmount_it

# ---- what is mounted and unmounted later comes in with rslave, also after a daemon was killed ----

podman run -d --label "$T" --name "late-$$" -v "$PWD:/app:ro,rslave" -w /app dxfs-test sh -c '
	for time in first second; do
		until [ -e node_modules/leaf ]; do sleep 0.05; done; echo $time
		while [ -e node_modules/leaf ]; do sleep 0.05; done; echo went
	done' >/dev/null
mount_it --offline --read-only
says() { podman logs "late-$$" 2>&1 | sees "$1"; }
until_true 20 says first
pid=$(daemons)
kill -KILL "$pid"
gone "$pid"
unmount_it
until_true 20 says went
mount_it --offline --read-only
until_true 20 says second
unmount_it
same "it ends when the mount has gone" 0 "$(timeout $PATIENCE podman wait "late-$$")"
podman rm "late-$$" >/dev/null
