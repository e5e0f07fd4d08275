# lib_many.sh - a project of many packages, for tests of whole fetches. Sourced behind lib.sh.
#
# many COUNT: crafted packages (tests/fixtures/many.js), or what FAULTS_OF has, a folder with
# registry/ and project/ as many.js makes it (tests/registry/fetch.sh: real ones). Starts the
# registry, with what follows COUNT as its options, and goes to the project.
# shellcheck shell=bash
many() {
	local top
	top=$(cd "$(dirname "$0")/../.." && pwd)
	if [ -n "${FAULTS_OF:-}" ]; then
		mkdir "$T/many"
		cp -r "$FAULTS_OF/project" "$T/many/"
		ln -s "$FAULTS_OF/registry" "$T/many/registry"
	else
		node "$top/tests/fixtures/many.js" "$T/many" "$1"
	fi
	shift
	export FIXTURES=$T/many
	start_registry "$@"
	cd "$T/many/project"
	lead_to "$REG"
	# What a mere test leaves out (run.sh), and does not wait for.
	unset npm_config_fetch_retries
}

# lead_to URL: the lock names this registry.
lead_to() {
	sed -Ei "s#\"resolved\": \"https?://[^/]*/#\"resolved\": \"$1/#" package-lock.json
	export npm_config_registry=$1/
}

# field NAME: of what `dx fetch --json` left in $T/json.
field() { node -p 'JSON.parse(require("fs").readFileSync(0, "utf8"))["'"$1"'"]' <"$T/json"; }
blobs() { { find "$T/store" -name '*.dxp' 2>/dev/null || true; } | wc -l; }

# whole WHAT COUNT: the store has so many packages, and nothing else.
whole() {
	same "$1: blobs" "$2" "$(blobs)"
	same "$1: quarantined" 0 "$(find "$T/store/quarantine" -type f | wc -l)"
	same "$1: rests" "" "$(find "$T/store/tmp" -type f)"
	dx store verify >"$T/out" || fail "$1: $(cat "$T/out")"
}

# begin_fetch FAULT...: dx fetch in the background; comes back when 30 packages are here. The faults see
# to it that not all come before they are cleared. Its events are at descriptor 7, one a second while it
# goes on; its pid in FETCH_PID.
begin_fetch() {
	local what
	for what in 'kind=delay&ms=200' "$@"; do fault "$what"; done
	mkfifo "$T/events"
	dx fetch --json >"$T/json" 2>"$T/events" &
	FETCH_PID=$!
	exec 7<"$T/events"
	some() { [ "$(blobs)" -ge 30 ]; }
	until_true 60 some
}

# ten_seconds: by dx fetch's own events.
ten_seconds() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11; do read -r _ <&7; done
}

# end_fetch WHAT: it has gone on, and nothing failed.
end_fetch() {
	cat <&7 >"$T/err" &
	wait "$FETCH_PID" || fail "$1: $(cat "$T/json")"
	exec 7<&-
	same "$1: failed" 0 "$(field failed)"
	same "$1: fetched" "$(field packages)" "$(field fetched)"
	whole "$1" "$(field packages)"
}
