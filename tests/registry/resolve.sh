#!/usr/bin/env bash
# resolve.sh [NAME...|all]: is what `dx lock` resolves what npm resolves? For each project of
# tests/registry/resolve and tests/projects (a dozen of them without arguments), at one date,
# `npm install --package-lock-only` and `dx lock` from the configured registry: the entries of both
# locks are compared, and npm must take the exported lock as it takes its own (npm ci, npm ls). Then,
# each time from npm's lock, what npm makes of a changed package.json (resolve_change.js says how it
# is changed), and of the project's own `steps`: lines "arguments of npm | arguments of dx".
# A project's file `first` has the date and lockfileVersion of its first lock; its .npmrc is for both.
# What npm refuses must be refused here, or, where peers conflict, be an answer that npm then takes. What
# npm resolves to a tree that it calls invalid (npm ls) may be another here, which it takes.
# Without a registry, exit status 77. Ends with "N passed, N failed, N skipped".
#
#   DXFS_BIN         folder of dx (default: build/fs beside tests/)
#   RESOLVE_BEFORE   the date (default below)
#   RESOLVE_CACHE    where npm's answers and cache and our metadata stay for the next time
#   RESOLVE_CHANGES  how many changes of each project are tried (default 2)
# shellcheck disable=SC2154 # scratch, cache: lib.sh
set -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
dx=$(realpath -m "${DXFS_BIN:-$top/build/fs}")/dx
changes=${RESOLVE_CHANGES:-2}
today=${RESOLVE_BEFORE:-2026-11-15}
export npm_config_before=$today npm_config_prefer_offline=true

# shellcheck source=/dev/null
. "$here/lib.sh"
[ $# -gt 0 ] || set -- express vite cra next nest vue svelte angular storybook electron react-native aws-cdk typescript-eslint monorepo
if [ "$*" = all ]; then
	cd "$here/resolve" || exit 1
	set -- express vite cra next monorepo *
fi

npm_lock() { # npm_lock FOLDER ARGUMENTS...
	local to=$1
	shift
	(cd "$to" && timeout 1800 npm "$@" --package-lock-only --ignore-scripts --no-audit --no-fund \
		--cache "$cache/npm" >"$scratch/npm.log" 2>&1)
}

# ask_npm FOLDER NAME ARGUMENTS...: what npm makes of the project there, kept under that name.
# Exit status 1: it refuses; 2: it could not.
ask_npm() {
	local to=$1 name=$2 answer
	shift 2
	answer=$cache/answers/$name-$(cat "$to/package.json" "$to/package-lock.json" 2>/dev/null | sha1sum | cut -c1-16)
	[ "$*" = install ] || answer=$answer-$(echo "$*" | sha1sum | cut -c1-8)
	mkdir -p "$cache/answers"
	[ ! -f "$answer.refused" ] || return 1
	if [ ! -f "$answer.json" ]; then
		if ! npm_lock "$to" "$@"; then
			grep -q 'code ERESOLVE\|code EOVERRIDE\|code ETARGET\|code EBADENGINE\|code EBADPLATFORM\|code EUNSUPPORTEDPROTOCOL' "$scratch/npm.log" || return 2
			touch "$answer.refused"
			return 1
		fi
		cp "$to/package-lock.json" "$answer.json"
		cp "$to/package.json" "$answer.manifest"
	fi
	cp "$answer.json" "$to/package-lock.json"
	[ ! -f "$answer.manifest" ] || cp "$answer.manifest" "$to/package.json"
}

# compare WHAT NPM-STATUS NPM-FOLDER OUR-FOLDER ARGUMENTS...: dx with these arguments there.
compare() {
	local what=$1 npm=$2 theirs=$3 ours=$4 status=0
	shift 4
	(cd "$ours" && timeout 900 "$dx" "$@" >"$scratch/out" 2>"$scratch/err") || status=$?
	if [ "$npm" -ne 0 ] && [ $status -eq 1 ]; then
		echo "$what: both refuse it: $(head -c 300 "$scratch/err")"
		return 0
	fi
	[ $status -eq 0 ] || { echo "$what: dx $* failed: $(head -c 300 "$scratch/err")"; return 1; }
	"$dx" lock export "$ours/dx.lock" >"$scratch/ours.json" || return 1
	if [ "$npm" -ne 0 ]; then
		cp "$scratch/ours.json" "$ours/package-lock.json"
		[ "$(verdicts "$ours")" = "$(printf 'ci 0\nls 0')" ] || { echo "$what: npm refuses it, and our answer: $(tail -n 3 "$scratch/verdict"; tail -n 3 "$scratch/verdict.ls")"; return 1; }
		echo "$what: npm refuses it, and takes our answer"
		return 0
	fi
	if ! node "$here/resolve_diff.js" "$what" "$theirs/package-lock.json" "$scratch/ours.json"; then
		cp "$scratch/ours.json" "$ours/package-lock.json"
		[ "$(verdicts "$theirs" | tail -n 1)" != 'ls 0' ] && [ "$(verdicts "$ours")" = "$(printf 'ci 0\nls 0')" ] || return 1
		echo "$what: npm calls its own answer invalid, and takes ours"
	fi
	# npm sorts what it changes.
	node -e 'const [a, b] = process.argv.slice(1).map((f) => JSON.parse(fs.readFileSync(f, "utf8")));
		const sorted = (o) => JSON.stringify(o, (k, v) => v && typeof v === "object" && !Array.isArray(v) ? Object.fromEntries(Object.entries(v).sort()) : v);
		if (sorted(a) !== sorted(b)) { console.log("  package.json: npm", sorted(a), "\n    ours", sorted(b)); process.exit(1); }' \
		"$theirs/package.json" "$ours/package.json"
}

copy() { # copy FROM TO: all that a project says
	mkdir -p "$2"
	(cd "$1" && find . \( -name package.json -o -name .npmrc \) -not -path '*/node_modules/*' -exec cp --parents {} "$2" \;)
}

# How npm ends on the lock in a folder.
verdicts() {
	(
		cd "$1" || exit
		npm ci --dry-run --ignore-scripts --no-audit --no-fund --cache "$cache/npm" >"$scratch/verdict" 2>&1
		echo "ci $?"
		npm ls --all --package-lock-only >"$scratch/verdict.ls" 2>&1
		echo "ls $?"
	)
}

accepted() { # accepted WHAT NPM-FOLDER OUR-LOCK
	local mine theirs
	mkdir "$2.taken"
	copy "$2" "$2.taken"
	cp "$3" "$2.taken/package-lock.json"
	mine=$(verdicts "$2.taken")
	theirs=$(verdicts "$2")
	[ "$mine" = "$theirs" ] || printf '%s: npm on our lock:\n%s\non its own:\n%s\n' "$1" "$mine" "$theirs"
	[ "$mine" = "$theirs" ]
}

# begin WHERE FROM: both sides' folders, with npm's lock.
begin() {
	local side
	for side in npm ours; do
		copy "$2" "$1/$side"
		cp "$2/package-lock.json" "$1/$side"
	done
}

changed() {
	local name=$1 base=$2 n where status said
	for n in $(seq "$changes"); do
		where=$scratch/$name.$n
		begin "$where" "$base"
		for side in npm ours; do
			node "$here/resolve_change.js" "$n" "$where/$side" >"$scratch/change" || return 1
		done
		said=$(cat "$scratch/change") status=0
		ask_npm "$where/npm" "$name$n" install || status=$?
		[ $status -lt 2 ] || continue
		compare "$name, $said" $status "$where/npm" "$where/ours" lock || return 1
	done
}

stepped() {
	local name=$1 base=$2 steps=$here/resolve/$1/steps n=0 where status npm ours bad=0
	[ -f "$steps" ] || return 0
	while IFS='|' read -r npm ours; do
		where=$scratch/$name.step$((n += 1)) status=0
		begin "$where" "$base"
		# shellcheck disable=SC2086 # words
		ask_npm "$where/npm" "$name.step" $npm || status=$?
		[ $status -lt 2 ] || { echo "$name, $npm: npm itself could not: $(tail -3 "$scratch/npm.log")"; continue; }
		# shellcheck disable=SC2086
		compare "$name, $npm" $status "$where/npm" "$where/ours" $ours || bad=1
	done <"$steps"
	return $bad
}

one() {
	local name=$1 from=$here/resolve/$1 status=0 base=$scratch/$1
	[ -d "$from" ] || from=$top/tests/projects/$1
	copy "$from" "$base/npm"
	copy "$from" "$base/ours"
	unset npm_config_lockfile_version
	export npm_config_before=$today
	if [ -f "$from/first" ]; then
		read -r npm_config_before npm_config_lockfile_version <"$from/first"
		export npm_config_lockfile_version
	fi
	ask_npm "$base/npm" "$name" install || status=$?
	[ $status -lt 2 ] || return 2
	if [ "${npm_config_lockfile_version:-3}" != 1 ]; then
		compare "$name" $status "$base/npm" "$base/ours" lock || return 1
		[ $status -eq 0 ] || return 0
		accepted "$name" "$base/npm" "$scratch/ours.json" || return 1
	fi
	npm_config_before=$today
	status=0
	[ "${npm_config_lockfile_version:-3}" = 1 ] || changed "$name" "$base/npm" || status=1
	unset npm_config_lockfile_version
	stepped "$name" "$base/npm" || status=1
	return $status
}

for name in "$@"; do
	one "$name"
	status=$?
	[ $status -ne 2 ] || echo "$name: npm itself could not: $(tail -3 "$scratch/npm.log")"
	count $status
done
result
