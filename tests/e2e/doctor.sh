#!/usr/bin/env bash
# dxfs doctor: what is missing, in one line with what to do; also where there is nearly nothing.
. "$(dirname "$0")/lib.sh"
start_registry

# finding NAME: "ok", "note" or "bad", of the --json in $T/json.
finding() {
	node -e '
		const c = JSON.parse(require("fs").readFileSync(process.argv[1])).find(c => c.check === process.argv[2]);
		console.log(c ? c.finding : "not looked at")' "$T/json" "$1"
}

# advised: each finding that is not ok says what to do, or that nothing was asked.
advised() {
	node -e '
		const bad = JSON.parse(require("fs").readFileSync(process.argv[1]))
			.filter(c => c.finding !== "ok" && !c.advice && !/not asked/.test(c.found));
		if (bad.length) { console.error(bad); process.exit(1) }' "$T/json"
}

# It asks for two seconds at most: a machine so busy that nobody answers in that time is asked again.
for _ in 1 2 3 4 5 6; do
	dxfs doctor --json >"$T/json" || [ $? = 1 ]
	[ "$(finding registry)" != ok ] || break
done
for check in kernel /proc /dev/fuse fusermount3 AppArmor allow_other "user namespaces" \
	"open files" inotify mount_max state store clock mounts registry; do
	[ "$(finding "$check")" != "not looked at" ] || fail "$check is not looked at"
done
same "the registry answers" ok "$(finding registry)"
same "the clock" ok "$(finding clock)"
advised

# A registry that is not there, one that never answers, none asked.
npm_config_registry=http://127.0.0.1:9/ dxfs doctor --json >"$T/json" || [ $? = 1 ]
same "refused" note "$(finding registry)"
advised
fault 'match=slow&kind=hang'
start=$SECONDS
npm_config_registry=$REG/slow/ dxfs doctor --json >"$T/json" || [ $? = 1 ]
same "no answer" note "$(finding registry)"
advised
[ $((SECONDS - start)) -le 60 ] || fail "it waited for $((SECONDS - start)) s"
no_faults
npm_config_offline=true dxfs doctor >"$T/out" || [ $? = 1 ]
grep -q 'registry .*not asked' "$T/out" || fail "$(cat "$T/out")"
stop_registry
export npm_config_offline=true

# A store of the future, a store of others.
mkdir -p "$T/store"
touch -d '+1 day' "$T/store"
dxfs doctor --json >"$T/json" || [ $? = 1 ]
same "clock before the store" note "$(finding clock)"
advised
chmod 777 "$T/store"
fails 1 dxfs doctor --json
cp "$T/out" "$T/json"
same "a store that others may write" bad "$(finding store)"
rm -rf "$T/store"

# A mount whose daemon was killed.
start_registry
unset npm_config_offline
project nested
mount_it
pid=$(status s.pid)
kill -9 "$pid"
gone "$pid"
dxfs doctor --json >"$T/json" || [ $? = 1 ]
same "a dead mount" note "$(finding mounts)"
unmount_it
export npm_config_offline=true

# Few files.
(ulimit -n 100 && dxfs doctor --json >"$T/json") || [ $? = 1 ]
same "few files" note "$(finding "open files")"
advised

# In a namespace with nothing in /dev: bad, in one line, exit status 1.
if unshare -Urm true 2>/dev/null; then
	export T
	fails 1 unshare -Urm --propagation private bash -c '
		mkdir -p "$T/dev"
		for d in null urandom; do touch "$T/dev/$d"; mount --bind /dev/$d "$T/dev/$d"; done
		mount --rbind "$T/dev" /dev
		exec "$DXFS_BIN/dxfs" doctor --json'
	cp "$T/out" "$T/json"
	same "no /dev/fuse" bad "$(finding /dev/fuse)"
	advised
	fails 1 unshare -Urm --propagation private bash -c '
		mkdir -p "$T/proc" && mount --bind "$T/proc" /proc && exec "$DXFS_BIN/dxfs" doctor --json'
	cp "$T/out" "$T/json"
	same "no /proc" bad "$(finding /proc)"
	advised
fi
# bwrapped COMMAND...: in a sandbox that shows all of the machine. Where a mount of somebody else goes
# while all are copied, bwrap gives up: then again.
bwrapped() {
	local rc
	for _ in 1 2 3 4 5 6; do
		rc=0
		bwrap --ro-bind / / "$@" >"$T/json" 2>"$T/said" || rc=$?
		grep -q '^bwrap: ' "$T/said" || break
	done
	cat "$T/said" >&2
	return $rc
}
if command -v bwrap >/dev/null && bwrapped true; then
	fails 1 bwrapped --dev-bind /dev /dev --proc /proc "$DXFS_BIN/dxfs" doctor --json
	same "state that cannot be written" bad "$(finding state)"
	same "a store that cannot be written" bad "$(finding store)"
	advised
	fails 1 bwrapped --bind "$T" "$T" --dev /dev --proc /proc "$DXFS_BIN/dxfs" doctor --json
	same "no /dev/fuse in bwrap" bad "$(finding /dev/fuse)"
	advised
fi
