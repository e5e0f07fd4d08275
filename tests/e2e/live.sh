#!/usr/bin/env bash
# Two branches behind one mount, switched again and again (SWITCHES, even, 60) under programs that read:
# each look-up and each file is of one of them, nothing is mixed, nobody is held up, nothing grows.
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
SWITCHES=${SWITCHES:-60}
export FIXTURES=$T/two
mkdir -p "$T/two/registry" "$T/project"
start_registry
node "$here/../fixtures/live.js" "$T/two" "$REG"
curl -sf -o /dev/null -X POST "$REG/-/rescan"
cd "$T/project"

on() { cp "$T/two/$1/package.json" "$T/two/$1/package-lock.json" .; }
ctl() { # asks the daemon, as `dx lock` does
	node -e '
		process.chdir(process.argv[1]);
		const s = require("net").connect("ctl", () => s.write(process.argv[2] + "\n"));
		s.on("data", (d) => process.stdout.write(d));' "$(dirname "$(find "$T/state" -name ctl)")" "$1"
}
relock() { same "relock" ok "$(ctl relock)"; }
now() { # now SIDE OTHER: the mount is just that branch
	"$LIVE" now node_modules "$T/two/$1.set" "$T/two/$2.set" >"$T/out" || fail "not all is of $1: $(cat "$T/out")"
}

# readers STOP: all kinds of them, in the background; each says in $T/read.* what it saw.
readers() {
	READERS=()
	local kind
	for kind in paths folders listing kept; do
		"$LIVE" "$kind" node_modules "$T/two/a.set" "$T/two/b.set" "$1" >"$T/read.$kind" 2>&1 &
		READERS+=($!)
	done
	node "$here/live_reader.js" "$1" >"$T/read.modules" 2>&1 &
	READERS+=($!)
}
ended() {
	local pid bad=0
	touch "$1"
	for pid in "${READERS[@]}"; do wait "$pid" || bad=1; done
	cat "$T"/read.*
	[ $bad = 0 ] || fail "a reader has seen what cannot be"
}

switching() { # switching MOUNT-OPTION...
	echo "-- $SWITCHES switches, mounted ${*:-to be written to}"
	on a
	mount_it --prefetch=all "$@"
	now a b
	rm -f "$T/stop"
	readers "$T/stop"
	node "$here/live_switch.js" "$(dirname "$(find "$T/state" -name ctl)")" "$LIVE" "$T/two" "$SWITCHES" >"$T/sizes" || fail "switching"
	ended "$T/stop"
	cat "$T/sizes"
	now a b
	same "errors" 0 "$(status 's.errors.length')"
	same "generation" "$SWITCHES" "$(status s.generation)"
	# What grows with the switches: nothing.
	node -e '
		const { half, end } = JSON.parse(require("fs").readFileSync(0, "utf8"));
		const bad = ["fds", "threads", "slots"].filter((k) => end[k] > half[k] + (k === "slots" ? 0 : 2));
		if (end.rss_kb > half.rss_kb + 2048) bad.push("rss_kb");
		if (bad.length) { console.error(bad.join(", "), "grew"); process.exit(1); }' <"$T/sizes" || fail "it grows: $(cat "$T/sizes")"
	unmount_it
}
switching --read-only
switching

# Who is in the middle of a first access to a package whose download does not come holds up nobody:
# not where that package goes, nor where it changes, nor where only what is nested in it does.
on a
rm -rf "$T/store"
mount_it --prefetch=none
for name in goes moves stays; do
	fault "kind=delay&ms=600000&match=slow-$name"
	cat "node_modules/slow-$name/v.txt" >"$T/slow-$name" &
	until_true 10 in_flight "slow-$name"
done
for side in b a b a b; do
	on $side
	timeout $PATIENCE bash -c "$(declare -f ctl relock same fail); T=$T; relock" || fail "a switch to $side waits for a download"
	for name in stays inner '@both/moves'; do
		timeout $PATIENCE cat "node_modules/$name/v.txt" >/dev/null || fail "$name waits for another's download"
	done
	timeout $PATIENCE ls node_modules >"$T/out" || fail "a listing waits for a download"
	same "$side is listed" "$(grep -vc / "$T/two/$side.set")" "$(grep -vc @ "$T/out")"
done
[ "$(jobs -r | wc -l)" = 3 ] || fail "somebody's first access has ended without its package"
no_faults
wait
for name in goes moves stays; do grep -q "^//slow-$name@1.0.0 v.txt" "$T/slow-$name" || fail "slow-$name: $(cat "$T/slow-$name")"; done
told() { [ -e node_modules/slow-stays/node_modules/inner/v.txt ]; }
until_true 10 told
now b a
on a
relock
now a b

# Who has a folder open that goes and comes back meets no error, and nobody else sees an old one.
for folder in @only-a @only-a/one goes nests/node_modules nests/node_modules/inner bundles bundles/node_modules/packed big-moves; do
	exec 9<"node_modules/$folder"
	ls -A "node_modules/$folder" >"$T/before"
	for other in b a; do
		on $other
		relock
		now $other "$([ $other = a ] && echo b || echo a)"
		for ask in "cat /proc/self/fd/9/v.txt" "ls /proc/self/fd/9/" "cat /proc/self/fd/9/one/v.txt"; do
			$ask >"$T/out" 2>&1 || grep -q 'No such file' "$T/out" || fail "$folder is open, now on $other: $(cat "$T/out")"
		done
	done
	same "$folder, listed anew" "$(cat "$T/before")" "$(ls -A "node_modules/$folder")"
	exec 9<&-
done

# What was written into a package that changes is set aside and comes back; all else stays.
mkdir -p node_modules/.cache
for there in package-000 package-006 big-moves/lib .cache; do echo mine >"node_modules/$there/mine.txt"; done
for i in 1 2 3; do
	on b
	relock
	now b a
	same "in other versions, $i" "" "$(ls node_modules/package-000/mine.txt node_modules/big-moves/lib/mine.txt 2>/dev/null)"
	same "elsewhere, $i" "mine mine" "$(cat node_modules/package-006/mine.txt node_modules/.cache/mine.txt | tr '\n' ' ' | sed 's/ $//')"
	same "set aside, $i" 2 "$(status s.aside.length)"
	on a
	relock
	now a b
	same "back again, $i" 4 "$(cat node_modules/{package-000,package-006,big-moves/lib,.cache}/mine.txt | grep -c mine)"
	same "set aside, back on a, $i" 0 "$(status s.aside.length)"
done
rm node_modules/{package-000,package-006,big-moves/lib,.cache}/mine.txt
unmount_it

# What did not change keeps what the kernel knows of it: nothing is asked again but, once each, the
# attributes of the five folders in which something changed.
warm() { (cd node_modules && xargs cat >/dev/null <"$T/warm"); }
mount_it --read-only --prefetch=all
awk 'NR == FNR { a[$1] = $2; next } a[$1] == $2 && $1 !~ /packed/ { print $1 "/v.txt"; print $1 "/lib/a.txt" }' "$T/two/a.set" "$T/two/b.set" >"$T/warm"
[ "$(wc -l <"$T/warm")" -ge 150 ] || fail "only $(wc -l <"$T/warm") files to look at"
asked() { node -p "const [b, a] = [$before, $after]; ['LOOKUP', 'READ', 'READDIR', 'READDIRPLUS', 'OPEN', 'READLINK', 'GETATTR'].map((k) => [k, (a[k] || 0) - (b[k] || 0)]).filter(([k, n]) => n > (k === 'GETATTR' ? 5 : 0)).join(' ')"; }
# A machine short of memory, which throws out what was just read, spoils a try.
for side in b a b a b a; do
	warm
	warm
	on $side
	relock
	before=$(status s.messages)
	warm
	after=$(status s.messages)
	asked=$(asked)
	[ -n "$asked" ] || break
done
same "asked again for what stayed, six times" "" "$asked"
unmount_it
