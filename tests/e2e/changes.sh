#!/usr/bin/env bash
# dxfs diff and dxfs patch: what was written into a mount, while it is mounted and when it is not.
. "$(dirname "$0")/lib.sh"
start_registry
project scripts
npm_config_userconfig=/dev/null
export npm_config_userconfig

# diff_is WHAT LINES: `dxfs diff`, mounted or not, is this.
diff_is() {
	same "$1" "$2" "$(dxfs diff node_modules)"
}

fails 1 dxfs diff node_modules # never mounted
mount_it
diff_is "nothing yet" ""
mkdir -p node_modules/.cache/tool/empty
echo x >node_modules/.cache/tool/x
echo "module.exports = 'mine';" >node_modules/leaf/index.js
chmod +x node_modules/leaf/README.md
echo new >node_modules/leaf/new.txt
rm node_modules/scr-first/bin/tool.js node_modules/.bin/scr-first
rm -r node_modules/scr-only
mv node_modules/scr-after/index.js node_modules/scr-after/moved.js
mkdir node_modules/scr-middle/own
ln -s ../leaf node_modules/scr-middle/own/link
want="A node_modules/.cache/
A node_modules/.cache/tool/
A node_modules/.cache/tool/empty/
A node_modules/.cache/tool/x
D node_modules/.bin/scr-first
M node_modules/leaf/README.md
M node_modules/leaf/index.js
A node_modules/leaf/new.txt
D node_modules/scr-after/index.js
A node_modules/scr-after/moved.js
D node_modules/scr-first/bin/tool.js
A node_modules/scr-middle/own/
A node_modules/scr-middle/own/link
D node_modules/scr-only"
want=$(sort -k2 <<<"$want" | LC_ALL=C sort -t' ' -k2)
diff_is "mounted" "$want"
dxfs diff --json node_modules >"$T/live.json"
dxfs patch --stdout node_modules leaf >"$T/live.patch"
unmount_it
diff_is "not mounted" "$want"
dxfs diff --json node_modules | cmp - "$T/live.json" || fail "the JSON differs once it is not mounted"
node -e '
	const list = JSON.parse(fs.readFileSync(process.argv[1]));
	const one = (p) => JSON.stringify(list.find((x) => x.path === "node_modules/" + p));
	const is = (p, want) => { if (one(p) !== JSON.stringify(want)) throw new Error(`${p}: ${one(p)}`); };
	is("leaf/index.js", { kind: "changed", path: "node_modules/leaf/index.js", type: "file", package: "node_modules/leaf", version: "1.1.0", aside: false });
	is("scr-middle/own/link", { kind: "added", path: "node_modules/scr-middle/own/link", type: "link", package: "node_modules/scr-middle", version: "1.0.0", aside: false });
	is(".cache", { kind: "added", path: "node_modules/.cache", type: "directory" });
	is(".bin/scr-first", { kind: "removed", path: "node_modules/.bin/scr-first" });
' "$T/live.json" || fail "the JSON says something else"

# ---- a patch, whether mounted or not ----
same "its name" "patches/leaf+1.1.0.patch" "$(dxfs patch node_modules leaf)"
cmp patches/leaf+1.1.0.patch "$T/live.patch" || fail "the patch differs once it is not mounted"
fails 1 dxfs patch node_modules no-such-package
fails 1 dxfs patch node_modules scr-gyp
grep -q "nothing was changed" "$T/out" || fail "it does not say that nothing was changed"
fails 1 dxfs patch node_modules scr-bundler/scr-never

# Applied to what npm would have written, by whoever can, it gives what the mount shows.
mount_it --read-only
mkdir "$T/plain"
for how in "git apply" "patch -s -p1 -i"; do
	command -v "${how%% *}" >/dev/null || continue
	rm -rf "$T/plain/node_modules"
	mkdir "$T/plain/node_modules"
	cp -r node_modules/leaf "$T/plain/node_modules/"
	(cd "$T/plain" && $how "$T/live.patch") || fail "$how refuses the patch"
	mv "$T/plain/node_modules/leaf" "$T/plain/${how%% *}"
done
unmount_it
mount_it
for how in git patch; do
	[ ! -d "$T/plain/$how" ] || diff -r "$T/plain/$how" node_modules/leaf || fail "$how made something else of it"
	[ ! -d "$T/plain/$how" ] || [ -x "$T/plain/$how/README.md" ] || fail "$how did not set the mode"
done

# ---- whole folders, binary files, links; a scope, and what stands in another package ----
rm -r node_modules/scr-first/bin
mkdir node_modules/scr-first/bin
printf 'no newline' >node_modules/scr-first/bin/other.js
printf 'a\0b' >node_modules/scr-first/binary
ln -s index.js node_modules/scr-first/link
dxfs patch node_modules scr-first >"$T/name" 2>"$T/err"
grep -q 'scr-first/binary: ' "$T/err" || fail "it does not say that it leaves the binary file out"
grep -q 'link: ' "$T/err" || fail "it does not say that it leaves the link out"
patch=$(cat "$T/name")
same "the files of the patch" "bin/other.js bin/tool.js" "$(sed -n 's|^diff --git a/node_modules/scr-first/\([^ ]*\) .*|\1|p' "$patch" | tr '\n' ' ' | sed 's/ $//')"
grep -q '^deleted file mode 100755' "$patch" || fail "the bin is not deleted as the program that it is"
grep -q '^\\ No newline at end of file' "$patch" || fail "no newline"
unmount_it

project nested
mount_it
echo "// patched" >>node_modules/@scope/leaf/index.js
echo "// patched" >>node_modules/needs-leaf2/node_modules/leaf/index.js
same "scoped" "patches/@scope+leaf+1.0.0.patch" "$(dxfs patch node_modules @scope/leaf)"
same "nested" "patches/needs-leaf2++leaf+2.0.0.patch" "$(dxfs patch node_modules needs-leaf2/leaf)"
same "nested, by its place" "patches/needs-leaf2++leaf+2.0.0.patch" "$(dxfs patch node_modules node_modules/needs-leaf2/node_modules/leaf)"
grep -q '^+++ b/node_modules/needs-leaf2/node_modules/leaf/index.js$' patches/needs-leaf2++leaf+2.0.0.patch || fail "its path"
fails 1 dxfs patch node_modules leaf # which was not changed
fails 1 dxfs patch node_modules needs-leaf2

# ---- another version takes the place: what was changed is set aside ----
echo "// of 1.1.0" >>node_modules/leaf/index.js
unmount_it
cp package-lock.json "$T/lock"
node -e '
	const lock = JSON.parse(fs.readFileSync("package-lock.json")), tgz = fs.readFileSync(process.argv[1]);
	const leaf = lock.packages["node_modules/leaf"];
	leaf.version = "1.0.0";
	leaf.integrity = "sha512-" + crypto.createHash("sha512").update(tgz).digest("base64");
	fs.writeFileSync("package-lock.json", JSON.stringify(lock, null, 2));
' "$FIXTURES/registry/leaf-1.0.0.tgz"
aside="set aside, of node_modules/leaf@1.1.0:
M node_modules/leaf/index.js"
changes=$(dxfs diff node_modules)
same "set aside, not mounted" "$aside" "$(grep -A1 aside <<<"$changes")"
mount_it
same "set aside, mounted" "$changes" "$(dxfs diff node_modules)"
same "dxfs status says it" '["node_modules/leaf@1.1.0"]' "$(status s.aside)"
dxfs status node_modules | sees "set aside node_modules/leaf@1.1.0" || fail "dxfs status does not say it"
same "it does not show" "leaf@1.0.0" "$(node -p 'require("leaf")')"
! grep -q of node_modules/leaf/index.js || fail "the change of 1.1.0 shows in 1.0.0"
fails 1 dxfs patch node_modules leaf
unmount_it
cp "$T/lock" package-lock.json
mount_it
grep -q "of 1.1.0" node_modules/leaf/index.js || fail "it did not come back with its version"
same "not aside any more" "" "$(dxfs diff node_modules | grep aside)"
unmount_it
