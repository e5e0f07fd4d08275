#!/usr/bin/env bash
# A damaged store costs a new download, never wrong bytes; one that others may write is refused.
. "$(dirname "$0")/lib.sh"
start_registry
project nested
mount_it --prefetch=all
cp -r node_modules "$T/tree"
unmount_it
chmod -R u+w "$T/store"
cp -a "$T/store" "$T/good"
logs() { find "$T/state" -name log -exec cat {} +; }
whole() { # WHAT
	mount_it "${@:2}"
	diff -r "$T/tree" node_modules || fail "$1: wrong bytes"
	unmount_it
}
restore() {
	chmod -R u+w "$T/store" 2>/dev/null || true
	rm -rf "$T/store"
	cp -a "$T/good" "$T/store"
}
spoil() { # KIND FILE OFFSET_OF_VERSION
	chmod u+w "$2"
	case $1 in
	empty) : >"$2" ;;
	garbage) head -c 6000 /dev/urandom >"$2" ;;
	cut) truncate -s 600 "$2" ;;
	future) printf '\7' | dd of="$2" bs=1 seek="$3" conv=notrunc status=none ;;
	flipped) printf '\377' | dd of="$2" bs=1 seek=$(($(stat -c %s "$2") / 512 * 512 - 500)) conv=notrunc status=none ;;
	esac
	chmod a-w "$2"
}

# ---- the index: it is a cache of the blobs ----

stop_registry
for kind in empty garbage cut flipped missing; do
	restore
	if [ $kind = missing ]; then rm "$T/store/index"; else spoil $kind "$T/store/index" 8; fi
	chmod -f u+w "$T/store/index" || true
	whole "index $kind"
done
restore
spoil future "$T/store/index" 8
chmod u+w "$T/store/index"
fails 1 dxfs mount ./node_modules
grep -q "$T/store.*format version 7, and this program knows only version 1: use a newer" "$T/out" || fail "$(cat "$T/out")"
fails 1 dx store verify
grep -q 'format version 7' "$T/out" || fail "$(cat "$T/out")"

# ---- blobs ----

start_registry
for kind in empty garbage cut flipped; do
	restore
	n=0
	for b in "$T"/store/??/??/*.dxp; do
		spoil $kind "$b" 4
		n=$((n + 1))
	done
	: >"$(echo "$T"/state/dxfs/*/log)"
	whole "blobs $kind"
	same "$kind: in quarantine" "$n" "$(find "$T/store/quarantine" -type f | wc -l)"
	logs | sees -E 'warning: .*leaf.*(quarantine|do not match).*fetched anew' || fail "$kind: no word in the log: $(logs)"
	dx store verify >/dev/null || fail "$kind: the store is not whole afterwards"

	restore
	for b in "$T"/store/??/??/*.dxp; do spoil $kind "$b" 4; done
	fails 1 dx store verify
	same "verify $kind: named" "$n" "$(grep -c '\.dxp: .*; moved to quarantine' "$T/out")"
	whole "verified, $kind"
done
restore
for b in "$T"/store/??/??/*.dxp; do spoil future "$b" 4; done
mount_it --prefetch=none
fails 1 cat node_modules/leaf/index.js
unmount_it
logs | sees -E 'error: leaf@1.1.0: .*format version 7.*newer' || fail "future blobs: $(logs)"
fails 1 dx store verify
grep -qE '\.dxp: .*format version 7.*newer' "$T/out" || fail "verify: $(cat "$T/out")"
same "future blobs stay" 0 "$(find "$T/store/quarantine" -type f 2>/dev/null | wc -l)"

# ---- whose it is ----

refused() { # WHAT WORDS [options]
	fails 1 dxfs mount "${@:3}" ./node_modules
	grep -qE -- "$2" "$T/out" || fail "$1: no '$2' in: $(cat "$T/out")"
	same "$1: lines" 1 "$(wc -l <"$T/out")"
	same "$1: mounts" 0 "$(mounts)"
}
restore
chmod o+w "$T/store"
refused "writable by all" "$T/store may be written by others: not trusted \(chmod go-w\)"
chmod o-w "$T/store"
chmod g+w "$T/store/index"
refused "index writable by a group" 'index may be written by others: not trusted'
chmod g-w "$T/store/index"
whole "afterwards"
for b in "$T"/store/??/??/*.dxp; do chmod g+w "$b"; done
: >"$(echo "$T"/state/dxfs/*/log)"
mount_it --prefetch=none
cat node_modules/leaf/index.js >/dev/null 2>&1 || true
unmount_it
logs | sees -E 'leaf@1.1.0: .*may be written by others: not trusted' || fail "blobs writable by a group: $(logs)"
restore
if [ "$(id -u)" = 0 ]; then
	chown 65534 "$T/store"
	refused "of another user" "$T/store: it belongs to"
	chown 0 "$T/store"
	chown 65534 "$T/store/index"
	refused "index of another user" 'index belongs to'
	restore
	chown 65534 "$T"/store/??/??/*.dxp
	mount_it --prefetch=none
	cat node_modules/leaf/index.js >/dev/null 2>&1 || true
	unmount_it
	logs | sees -E 'leaf@1.1.0: .*belongs to' || fail "blobs of another user: $(logs)"
	restore
else
	mkdir -m 0 "$T/closed"
	refused "a folder that may not be opened" "cannot .*$T/closed.*denied" --store="$T/closed"
fi
ln -s "$T/good" "$T/link"
whole "through a link of one's own" --store="$T/link"

# ---- read-only: served, and what it lacks is in the log ----

chmod -R a-w "$T/store"
if [ "$(id -u)" = 0 ]; then
	whole "a store of root's own"
else
	whole "a store that is not writable"
fi
chmod -R u+w "$T/store"
mkdir "$T/front"
chmod -R a-w "$T/good"
whole "a store behind" --store="$T/front" --store-behind="$T/good"
chmod -R u+w "$T/good"
same "nothing was copied" 0 "$(find "$T/front" -name '*.dxp' | wc -l)"

# ---- behind may be another's, if it was named ----

if [ "$(id -u)" = 0 ]; then
	chown -R nobody "$T/good"
	DX_STORE_BEHIND=$T/good whole "another user's store behind" --store="$T/front"
	same "still nothing was copied" 0 "$(find "$T/front" -name '*.dxp' | wc -l)"
	chown -R root "$T/good"
fi
