#!/usr/bin/env bash
# A mount shows the lock's tree, once, and leaves nothing behind.
. "$(dirname "$0")/lib.sh"
start_registry
project nested

mount_it
same "top of the tree" ".package-lock.json @scope leaf needs-leaf2 needs-scoped2" "$(ls -A node_modules | tr '\n' ' ' | sed 's/ $//')"
same "nested" "leaf@2.0.0" "$(node -p 'require("needs-leaf2/node_modules/leaf")')"
same "scoped" "@scope/leaf@1.0.0" "$(node -p 'require("@scope/leaf")')"
same "real path stays in the project" "$PWD/node_modules/leaf/index.js" "$(realpath node_modules/leaf/index.js)"
same "one mount" 1 "$(mounts)"
npm ls --all >/dev/null || fail "npm ls is not content"

pid=$(status s.pid)
mount_it || fail "the second mount must say yes"
same "mounted twice is once" 1 "$(mounts)"
same "the same daemon" "$pid" "$(status s.pid)"

before=$(daemons)
unmount_it
same "unmounted" 0 "$(mounts)"
# shellcheck disable=SC2086
gone $before
[ -z "$(ls -A node_modules 2>/dev/null)" ] || fail "files lie below the mount point"
fails 1 dxfs unmount ./node_modules

mount_it
same "mounted again" "leaf@1.1.0" "$(node -p 'require("leaf")')"
unmount_it
