#!/usr/bin/env bash
# Projects and stores whose paths have what shells, mountinfo and JSON must quote, or are long.
. "$(dirname "$0")/lib.sh"
start_registry

works() { # FOLDER: mounts the project there, reads, asks, unmounts
	mkdir -p "$1"
	cp -a "$FIXTURES/projects/nested/." "$1"
	cd "$1"
	mount_it || fail "$1"
	same "$1" "leaf@2.0.0" "$(node -p 'require("needs-leaf2/node_modules/leaf")')"
	same "$1: its real path" "$1/node_modules/leaf/index.js" "$(realpath node_modules/leaf/index.js)"
	same "$1: mountpoint" "$1/node_modules" "$(status s.mountpoint)"
	dxfs mount ./node_modules 2>/dev/null || fail "$1: again"
	same "$1: mounts" 1 "$(awk '/fuse.dxfs/ && index($5, ENVIRON["T"] "/") == 1' /proc/self/mountinfo | wc -l)"
	dxfs status >/dev/null || fail "$1: status of all"
	# A dead mount there is recognised too.
	# shellcheck disable=SC2046
	kill -9 $(daemons)
	mount_it || fail "$1: after a dead mount"
	cat node_modules/leaf/index.js >/dev/null
	unmount_it || fail "$1: unmount"
	cd "$T"
	rm -rf "$1"
}
works "$T/a space  and two"
works "$T/quotes ' \" \` \$HOME \$(x)"
works "$T/new
line	tab"
works "$T/back\\slash\\040"
works "$T/ünï-日本-😀"
works "$T/comma,equals=a,ro"
works "$T/-dash/--help"
works "$T/per%cent%n%s#*?[x]"
works "$T/$(printf '\001\177')"

# A store on such a path, and below it.
export DX_STORE="$T/st ore'\"
\\é,x=1"
works "$T/project"
[ -e "$DX_STORE/index" ] || fail "the store is elsewhere"
DX_STORE=$T/store

# Long: as long as a path may be for mount(2), whose limit is a page.
long=$T
while [ ${#long} -lt 3800 ]; do long=$long/$(printf 'd%.0s' {1..200}); done
works "$long"
rm -rf "${T:?}/$(printf 'd%.0s' {1..200})"
# Longer than that: a sentence and nothing left.
while [ ${#long} -lt 4090 ]; do long=$long/$(printf 'd%.0s' {1..60}); done
long=${long:0:4092}
mkdir -p "$T/x"
(
	cd "$T"
	IFS=/
	# shellcheck disable=SC2086
	for part in ${long#"$T"/}; do mkdir -p "$part" && cd "$part" || exit; done
	cp -a "$FIXTURES/projects/nested/." .
	rc=0
	dxfs mount ./node_modules >"$T/out" 2>&1 || rc=$?
	same "too long" 1 $rc
	same "too long: lines" 1 "$(wc -l <"$T/out")"
	grep -qi 'too long' "$T/out" || fail "$(cut -c-300 "$T/out")"
)
same "mounts" 0 "$(mounts)"
