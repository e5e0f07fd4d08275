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
unmount_it
same "all unmounted" 0 "$(mounts)"
same "nothing stays" "" "$(find . -name node_modules)"
