#!/usr/bin/env bash
# By default the whole lock comes in behind the mount's back, each package once, the nearest to the
# project first, but before them what is below a package that is touched.
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
walk
unmount_it

cd "$T"
project cycles
export npm_config_maxsockets=1
in_order() {
	curl -sf "$REG/-/log" | sed -nE 's|^GET .*/-/([^ ]*)-1[^ ]*\.tgz .*|\1|p' | paste -sd ' '
}
forget_requests
mount_it
until_true 60 complete
same "by levels" "cycle-a loader cycle-b needs-leaf1 leaf" "$(in_order)"
unmount_it

# The line is held by the first of them until another package is touched.
rm -rf "$DX_STORE"
fault "match=cycle-a&kind=hang"
mount_it
until_true 20 in_flight cycle-a
forget_requests
cat node_modules/loader/package.json >/dev/null &
predicted() { [ "$(status s.prediction.made)" = 1 ]; }
until_true 20 predicted
no_faults
wait $!
four_here() { [ "$(status s.packages.local)" -ge 4 ]; }
until_true 60 four_here
same "what is below loader" "loader needs-leaf1 leaf cycle-b" "$(in_order | tr ' ' '\n' | grep -vx cycle-a | paste -sd ' ')"
unmount_it

# No program loads types: they come last.
cd "$T"
project types
rm -rf "$DX_STORE"
fault "match=cycle-a&kind=hang"
mount_it
types_asked_for() { [ "$(requests /-/things-1)" -gt 0 ]; }
until_true 20 in_flight cycle-a
forget_requests
cat node_modules/typed/package.json >/dev/null &
until_true 20 predicted
no_faults
wait $!
until_true 60 types_asked_for
same "types" "typed leaf cycle-b things" "$(in_order | tr ' ' '\n' | grep -vx cycle-a | paste -sd ' ')"
unmount_it
stop_registry
