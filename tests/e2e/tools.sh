#!/usr/bin/env bash
# Ordinary programs find in a mount what they expect of a folder.
. "$(dirname "$0")/lib.sh"
start_registry
project bins
mount_it --prefetch=all
same "a bin runs" one "$(node_modules/.bin/bin-one)"
same "npx runs it" one "$(npx --no-install bin-one 2>/dev/null)"
npm ls --all >"$T/ls.txt" || fail "npm ls: $(cat "$T/ls.txt")"
mkdir copy
cp -a node_modules/. copy/ || fail "cp -a"
diff -r --no-dereference node_modules copy || fail "a copy differs"
"$TREECMP" node_modules copy || fail "treecmp of a copy"
tar -cf "$T/x.tar" node_modules || fail "tar"
tar -df "$T/x.tar" || fail "tar sees a difference"
same "du of nothing written" 0 "$(find node_modules -newermt '+1 hour' | wc -l)"
find node_modules -type d ! -newer node_modules/.package-lock.json | sees . || fail "no directory is as old as the hidden lockfile"
[ -z "$(find node_modules -type d -newer node_modules/.package-lock.json)" ] || fail "a directory is newer than the hidden lockfile"
same "one owner" "$(id -u):$(id -g)" "$(find node_modules -printf '%U:%G\n' | sort -u)"
[ -z "$(find node_modules -printf '%i\n' | awk '$1 >= 2^53')" ] || fail "a number that JavaScript cannot hold"
node -e '
	const fs = require("fs");
	const f = "node_modules/bin-one/cli.js";
	const fd = fs.openSync(f), b = Buffer.alloc(4);
	fs.readSync(fd, b, 0, 4, 2);
	if (b.toString() !== "/usr") throw new Error("pread: " + b);
	if (fs.readSync(fd, b, 0, 4, 1e6) !== 0) throw new Error("reading past the end");
	if (fs.realpathSync("node_modules/.bin/bin-one") !== fs.realpathSync(f)) throw new Error("realpath");
	for (const e of fs.readdirSync("node_modules", { withFileTypes: true, recursive: true })) e.isFile();'
exec 9<node_modules/bin-one/cli.js
flock -s 9 || fail "flock"
exec 9<&-
same "statfs" dxfs "$(findmnt -no FSTYPE node_modules | sed 's/^fuse\.//')"
