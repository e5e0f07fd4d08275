#!/usr/bin/env bash
# dxfs reset: takes back what was written, live and offline, all of it or below a path.
. "$(dirname "$0")/lib.sh"
start_registry
project scripts

write_all() {
	mkdir -p node_modules/.cache/tool node_modules/scr-middle/own
	echo x >node_modules/.cache/tool/x
	echo "module.exports = 'mine';" >node_modules/leaf/index.js
	echo new >node_modules/leaf/new.txt
	chmod 600 node_modules/leaf/README.md
	rm node_modules/.bin/scr-first node_modules/scr-first/bin/tool.js
	rm -r node_modules/scr-only
	mv node_modules/scr-after/index.js node_modules/scr-middle/own/
	rm -r node_modules/scr-never
	mkdir node_modules/scr-never
	echo own >node_modules/scr-never/own
}
tree() {
	find node_modules/ -mindepth 1 -printf '%P %y %m %s %l\n' | LC_ALL=C sort
	find node_modules/ -type f -exec sha1sum {} + | LC_ALL=C sort
}

mount_it
tree >"$T/before"
fails 1 dxfs reset node_modules node_modules/leaf # nothing was changed there
same "nothing to reset" "0 changes taken back" "$(dxfs reset node_modules)"

# ---- live, one after another ----
write_all
tree >"$T/written"
dxfs reset node_modules node_modules/leaf >"$T/out"
same "leaf is as it was" "leaf@1.1.0" "$(node -p 'require("leaf")')"
[ ! -e node_modules/leaf/new.txt ] || fail "new.txt is still there"
same "its mode" "$(grep '^leaf/README.md' "$T/before")" "$(find node_modules/leaf/README.md -printf 'leaf/README.md %y %m %s %l\n')"
[ -e node_modules/.cache/tool/x ] || fail "more was taken back than asked for"
(cd node_modules/.cache && dxfs reset ../../node_modules ../scr-only) >"$T/out"
[ -f node_modules/scr-only/index.js ] || fail "a removed package did not come back"
dxfs reset node_modules "$PWD/node_modules/scr-first/bin" >"$T/out"
[ -x node_modules/scr-first/bin/tool.js ] || fail "a removed file did not come back"
ln -s "$PWD" "$T/link"
(cd "$T/link" && dxfs reset node_modules node_modules/.bin/scr-first) >"$T/out"
[ -x node_modules/.bin/scr-first ] || fail "a link in .bin did not come back"
fails 1 dxfs reset node_modules ..
fails 1 dxfs reset node_modules package.json
grep -q . "$T/out" || fail "it does not say why"
dxfs reset node_modules >"$T/out"
tree | diff "$T/before" - || fail "after everything was taken back"
same "nothing is left of it" "" "$(dxfs diff node_modules)"

# What is open stays what it is for who has it open; its name is the original's.
echo edited >>node_modules/leaf/index.js
exec 5<node_modules/leaf/index.js
echo other >node_modules/.cache-file
exec 6<node_modules/.cache-file
dxfs reset node_modules >"$T/out"
same "the name is the original's" "leaf@1.1.0" "$(node -p 'require("leaf")')"
same "who has it open" "other" "$(cat <&6)"
exec 5<&- 6<&-

# ---- rm -rf by habit ----
rm -rf node_modules 2>"$T/err" && fail "rm -rf ended well on a mount point"
grep -qi "busy" "$T/err" || fail "rm -rf: $(cat "$T/err")"
same "nothing is left to see" "" "$(ls -A node_modules)"
dxfs reset node_modules >"$T/out"
tree | diff "$T/before" - || fail "rm -rf and reset"
npm ls --all >/dev/null || fail "npm ls is not content"

# ---- git clean -xfd ----
command -v git >/dev/null && {
	git init -q . && echo node_modules >.gitignore && git add -A
	git clean -xfdq 2>/dev/null || true
	dxfs reset node_modules >"$T/out"
	tree | diff "$T/before" - || fail "git clean and reset"
}

# ---- when it is not mounted ----
write_all
unmount_it
dxfs reset node_modules node_modules/.cache >"$T/out"
same "of a folder" "2 changes taken back" "$(sed 's/^[3-9]/2/' "$T/out")"
dxfs reset node_modules node_modules/scr-never >"$T/out"
mount_it
tree >"$T/now"
grep -q "scr-never/index.js" "$T/now" || fail "scr-never is not back"
grep -q "leaf/new.txt" "$T/now" || fail "more was taken back than asked for"
! grep -q "^.cache" "$T/now" || fail ".cache is still there"
unmount_it
dxfs reset node_modules >"$T/out"
mount_it
tree | diff "$T/before" - || fail "reset while it is not mounted"

# ---- scripts run again, for what they wrote is gone ----
if command -v npm >/dev/null; then
	touch mended
	dx rebuild 2>"$T/err" || fail "dx rebuild: $(cat "$T/err")"
	same "it ran" rebuild "$(cat node_modules/scr-gyp/built)"
	dxfs reset node_modules node_modules/scr-gyp/built >"$T/out"
	dx rebuild 2>"$T/err"
	same "and again" rebuild "$(cat node_modules/scr-gyp/built)"
	grep -q "of 1 package ran" "$T/err" || fail "others ran, too: $(cat "$T/err")"
	rm mended
	dxfs reset node_modules >"$T/out"
	dx rebuild 2>"$T/err"
	[ ! -e node_modules/scr-optional ] || fail "its script failed, and it is there"
	dxfs reset node_modules >"$T/out"
	[ -e node_modules/scr-optional ] || fail "reset did not bring back what was left out"
	tree | diff "$T/before" - || fail "after scripts and reset"
fi
unmount_it
