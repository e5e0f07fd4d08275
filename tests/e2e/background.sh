#!/usr/bin/env bash
# By default the whole lock comes in behind the mount's back, each package once.
. "$(dirname "$0")/lib.sh"
start_registry
project optional-sets
complete() { [ "$(status s.offline_safe)" = true ]; }
mount_it
until_true 60 complete
twice=$(tarballs | tr ' ' '\n' | uniq -d)
same "fetched twice" "" "$twice"
for gone in opt-win32 opt-engines opt-engines-only opt-cpu opt-musl opt-npm opt-chain; do
	[ ! -e "node_modules/$gone" ] || fail "$gone is there"
	[ "$(requests "/-/$gone-1")" -eq 0 ] || fail "$gone was fetched"
done
stop_registry
walk
