#!/usr/bin/env bash
# What a project's settings let be believed reaches no other project, though they share a store.
. "$(dirname "$0")/lib.sh"
start_registry

# lock_in NAME [line of .npmrc]: a new project is locked; prints how often the registry was asked.
lock_in() {
	mkdir "$T/$1" && cd "$T/$1"
	echo '{"name":"p","version":"1.0.0","dependencies":{"leaf":"^1.0.0"}}' >package.json
	[ -z "${2:-}" ] || echo "$2" >.npmrc
	forget_requests
	dx lock >"$T/out" 2>&1 || fail "dx lock: $(cat "$T/out")"
	requests '^GET /leaf '
}

same "whoever answers is believed" 1 "$(lock_in any 'strict-ssl=false')"
same "but not by others" 1 "$(lock_in strict)"
same "who believe one another" 0 "$(lock_in again)"
