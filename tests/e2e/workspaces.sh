#!/usr/bin/env bash
# Workspaces are links, and their own node_modules are mounted by the same daemon.
. "$(dirname "$0")/lib.sh"
start_registry
project workspaces
mount_it
same "link" "../packages/a" "$(readlink node_modules/wa)"
same "scoped link" "../../packages/b" "$(readlink node_modules/@ws/b)"
same "nested" "leaf@2.0.0" "$(cd packages/a && node -p 'require("leaf")')"
same "hoisted" "leaf@1.1.0" "$(cd packages/b && node -p 'require("leaf")')"
same "through the link" "leaf@2.0.0" "$(node node_modules/.bin/wa)"
same "one daemon" 1 "$(daemons | wc -l)"
[ "$(mounts)" -ge 3 ] || fail "only $(mounts) mounts"

# --- dx add in a workspace's folder: its package.json, the root's lock, and the mount follows ---
cp package.json root.json
same "what came" "needs-leaf1@1.0.0 in packages/b" "$(cd packages/b && dx add needs-leaf1 | sed -n 1p)"
node -e 'process.exit(require("./packages/b/package.json").dependencies["needs-leaf1"] === "^1.0.0" ? 0 : 1)' ||
	fail "the workspace's package.json: $(cat packages/b/package.json)"
cmp package.json root.json || fail "the root's package.json changed"
same "the mount has it" "needs-leaf1@1.0.0" "$(cd packages/b && node -p 'require("needs-leaf1")')"
dx remove -w @ws/b needs-leaf1
[ ! -e node_modules/needs-leaf1 ] || fail 'it is still there'
unmount_it
same "all unmounted" 0 "$(mounts)"
# A workspace's folder has no lock: who mounts there hears where to.
fails 1 "$DXFS_BIN/dxfs" mount packages/b/node_modules
grep -q "is a workspace of $PWD, " "$T/out" || fail "$(cat "$T/out")"
same "nothing stays" "" "$(find . -name node_modules)"
