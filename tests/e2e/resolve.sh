#!/usr/bin/env bash
# dx lock without a lock: the crafted projects as npm resolves them from the same registry; what is
# kept of the registry's answers; add, remove and update; what cannot be resolved.
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)

start_registry

# crafted NAME: is what `dx lock` makes of the project we are in what npm makes of it?
crafted() {
	local npm=0 ours=0
	find . \( -name package-lock.json -o -name npm-shrinkwrap.json \) -exec rm {} +
	cp -a . "$T/npm-$1"
	(cd "$T/npm-$1" && npm install --package-lock-only --ignore-scripts --no-audit --no-fund >npm.log 2>&1) || npm=$?
	dx lock >dx.log 2>&1 || ours=$?
	if [ $npm -ne 0 ]; then
		[ $ours -eq 0 ] || { echo "$1: both refuse it: $(head -1 dx.log)"; return 0; }
		echo "$1: npm refuses it, dx lock does not: $(grep -m1 'npm error' "$T/npm-$1/npm.log")"
		return 1
	fi
	[ $ours -eq 0 ] || { echo "$1: npm resolves it, dx lock says: $(head -1 dx.log)"; return 1; }
	dx lock export dx.lock >ours.json || return 1
	node "$here/../registry/resolve_diff.js" "$1" "$T/npm-$1/package-lock.json" ours.json
}

# --- crafted projects, as npm resolves them; RESOLVE_ALL=1: all of them (two minutes) ---
# Of these npm's lock has two entries more: for a file and a folder without package.json in a bundled
# node_modules, which it takes for packages without name and version.
known=' strays strays-unlisted '
if command -v npm >/dev/null && [ "$(npm --version | cut -d. -f1)" = 11 ]; then
	differ=''
	all='aliases bins bundles carried-modules case-of-names containers cycles folder-bins-later overrides platform-refused workspaces wrapped wrapped-dev'
	[ -z "${RESOLVE_ALL:-}" ] || all=$(cd "$FIXTURES/projects" && echo *)
	for name in $all; do
		[ -d "$FIXTURES/projects/$name" ] || continue
		project "$name"
		if crafted "$name"; then continue; fi
		case $known in
		*" $name "*) echo "$name: known" ;;
		*) differ="$differ $name" ;;
		esac
	done
	mkdir "$T/wrapped-old"
	cd "$T/wrapped-old"
	echo '{"name":"p","version":"1.0.0","dependencies":{"wrapped-old":"1","leaf":"1"}}' >package.json
	crafted wrapped-old || differ="$differ wrapped-old"
	[ -z "$differ" ] || fail "not as npm:$differ"
fi

# --- what is kept of the registry's answers ---
mkdir "$T/p"
cd "$T/p"
echo '{"name":"p","version":"1.0.0","dependencies":{"leaf":"^1.0.0"}}' >package.json
rm -rf "$DX_STORE/metadata"
forget_requests
dx lock
dx lock export >first.json
grep -q '"version": "1.1.0"' first.json || fail 'the newest leaf that fits'
same 'asked once' 1 "$(requests 'GET /leaf')"
rm dx.lock
dx lock
same 'not asked again' 1 "$(requests 'GET /leaf')"
rm dx.lock
npm_config_offline=true dx lock
dx lock export | cmp - first.json || fail 'offline gives the same lock'
for f in "$DX_STORE"/metadata/*; do
	printf x | dd of="$f" bs=1 seek=200 conv=notrunc 2>/dev/null
done
rm dx.lock
dx lock
same 'a damaged file is asked for again' 2 "$(requests 'GET /leaf')"
rm dx.lock
rm -r "$DX_STORE/metadata"
fails 1 env npm_config_offline=true "$DXFS_BIN/dx" lock
grep -q offline "$T/out" || fail 'offline is said'
[ ! -e dx.lock ] || fail 'what cannot be resolved is not written'

# --- add, remove, update ---
printf '{\n\t"name": "p",\n\t"version": "1.0.0",\n\t"private": true\n}\n' >package.json
dx add leaf@^1.0.0
printf '{\n\t"name": "p",\n\t"version": "1.0.0",\n\t"private": true,\n\t"dependencies": {\n\t\t"leaf": "^1.1.0"\n\t}\n}\n' | cmp - package.json || fail 'add: package.json'
dx lock --check
cp dx.lock before
cp package.json before.json
fails 1 "$DXFS_BIN/dx" add no-such-package
cmp package.json before.json || fail 'add that fails leaves package.json alone'
cmp dx.lock before || fail 'add that fails leaves the lock alone'
fails 1 "$DXFS_BIN/dx" update no-such-package
grep -q 'dedupe' "$T/out" && fail "update of what is not there: $(cat "$T/out")"
dx remove nothing 2>said
grep -q 'does not depend on nothing' said || fail "remove of what is not there: $(cat said)"
cmp package.json before.json || fail 'remove of what is not there leaves package.json alone'
fails 2 "$DXFS_BIN/dx" add -D -O leaf
fails 2 "$DXFS_BIN/dx" add
sed -i 's/\^1.1.0/1.0.0/' package.json
dx lock
dx lock export | sees '"version": "1.0.0"' || fail 'an older one'
sed -i 's/"1.0.0"\(.*\)$/"1.0.0"\1/; s/"leaf": "1.0.0"/"leaf": "^1.0.0"/' package.json
dx lock
dx lock export | sees '"leaf": "^1.0.0"' || fail 'the lock says what package.json says'
[ "$(dx lock export | grep -c 'leaf-1.0.0\|"version": "1.0.0"')" -ge 2 ] || fail 'a lock that holds is kept to'
dx update leaf
dx lock export | sees '"version": "1.1.0"' || fail 'update'
dx remove leaf
grep -q leaf package.json && fail 'remove: package.json'
dx lock export | sees leaf && fail 'remove: the lock'

mkdir "$T/beside" inside
echo '{"name":"beside"}' >"$T/beside/package.json"
echo '{"name":"inside"}' >inside/package.json
mkdir "$T/third"
echo '{"name":"third"}' >"$T/third/package.json"
dx add ../beside ./inside other@../third
same 'folders are saved as npm saves them' 'file:../beside file:inside file:../third' \
	"$(node -p 'const d = require("./package.json").dependencies; `${d.beside} ${d.inside} ${d.other}`')"
dx remove beside inside other

mkdir package
echo '{"name":"packed","version":"1.0.0"}' >package/package.json
tar czf packed-1.0.0.tgz package
dx add packed-1.0.0.tgz
same 'a tarball here needs no ./' file:packed-1.0.0.tgz "$(node -p 'require("./package.json").dependencies.packed')"
dx remove packed

# --- wrong words ---
wrong() { # wrong WORDS ARG...: a sentence in front of the usage
	local words=$1
	shift
	fails 2 "$DXFS_BIN/dx" lock "$@"
	grep -q -- "^dx lock: $words" "$T/out" || fail "dx lock $*: $(head -1 "$T/out")"
}
wrong 'there is nothing that is called shw' shw
wrong 'one argument too many: b' show a b
wrong 'an argument is missing for diff' diff a
wrong '.*one at a time' --check --update
wrong 'one argument too many: x' --dedupe x
wrong 'one argument too many: b' --explain a b

# --- the solver ---
echo '{"dependencies":{"needs-leaf1":"1","leaf":"1 || 2"}}' >package.json
rm -f dx.lock
dx lock
same 'npm takes two' 3 "$(dx lock export | grep -c '"version"')"
dx lock --dedupe >said
grep -q '^2 versions, proven the fewest$' said || fail "dedupe: $(cat said)"
same 'the solver takes one' 2 "$(dx lock export | grep -c '"version"')"
dx lock >said
same 'which stays' 2 "$(dx lock export | grep -c '"version"')"
echo '{"dependencies":{"plugs":"1","leaf":"1"}}' >package.json
rm dx.lock
dx lock >said
grep -q 'ERESOLVE.*plugs@1.1.0' said || fail "where npm gives up: $(cat said)"
dx lock export | grep -A1 '"node_modules/plugs"' | sees '"1.0.0"' || fail 'the plugs that goes with leaf 1'
dx lock --explain | sees 'can be had' || fail 'it can be had'
fails 1 env npm_config_registry=http://127.0.0.1:9/ "$DXFS_BIN/dx" lock --explain elsewhere
grep -q '^As far as the registry could be asked' "$T/out" || fail "not asked: $(cat "$T/out")"
fails 1 "$DXFS_BIN/dx" lock --explain leaf@77
grep -q 'what is asked for is leaf@"77", and the registry has no version' "$T/out" || fail "leaf@77: $(cat "$T/out")"
dx lock --explain leaf@2 | sees 'Nothing stands in the way of leaf@2' || fail 'leaf@2 goes with plugs 1.1.0'

# --- from a folder inside, and where there is no project yet ---
mkdir -p src/deep
(cd src/deep && dx add leaf@1.0.0)
grep -Eq '"leaf": ?"\^1.0.0"' package.json || fail 'add, from inside'
(cd src/deep && dx ls) | sees "leaf@1.0.0" || fail 'ls, from inside'
mkdir -p "$T/new" && cd "$T/new"
fails 1 "$DXFS_BIN/dx" lock
fails 1 "$DXFS_BIN/dx" add no-such-package
[ -z "$(ls -A)" ] || fail "add that fails leaves here: $(ls -A)"
dx add leaf@^1.0.0
printf '{\n  "dependencies": {\n    "leaf": "^1.1.0"\n  }\n}\n' | cmp - package.json || fail 'add: a new package.json'
dx ls | sees "^new@ " || fail 'ls: called by its folder'
cd "$T/p"
echo '{"name":"p","workspaces":["ws/*"]}' >package.json
mkdir -p ws/w
echo '{"name":"w"}' >ws/w/package.json
(cd ws/w && dx lock)
[ ! -e ws/w/dx.lock ] || fail 'a workspace has a lock of its own'
(cd ws/w && dx add leaf)
same "the workspace's package.json" '{"name":"w","dependencies":{"leaf":"^2.0.0"}}' "$(node -p 'JSON.stringify(require("./ws/w/package.json"))')"
same "not the root's" '{"name":"p","workspaces":["ws/*"]}' "$(cat package.json)"
dx lock --check
(cd ws/w && dx remove leaf)
same 'and out of it' '{"name":"w"}' "$(cat ws/w/package.json)"
fails 1 "$DXFS_BIN/dx" add -w nothing leaf
grep -q 'no such workspace' "$T/out" || fail "$(cat "$T/out")"

# --- what cannot be resolved ---
refuses() { # refuses MANIFEST WORDS
	echo "$1" >package.json
	rm -f dx.lock
	fails 1 "$DXFS_BIN/dx" lock
	grep -q -- "$2" "$T/out" || fail "$1: no word of $2: $(cat "$T/out")"
	[ ! -e dx.lock ] || fail "$1: a lock was written"
}
refuses '{"dependencies":{"leaf":"^77"}}' 'no version that fits "^77"'
refuses '{"dependencies":{"no-such-package":"1"}}' 'no-such-package: the registry does not have it'
refuses '{"dependencies":{"peered":"1","leaf":"2"}}' 'and no one version of leaf is all of that'
refuses '{"dependencies":{"leaf":"workspace:*"}}' 'workspace:\*'
refuses '{"dependencies":{"leaf" "1"}}' 'line 1, column'
fault 'match=leaf&kind=status&code=401'
rm -rf "$DX_STORE/metadata"
refuses '{"dependencies":{"leaf":"1"}}' '401'
no_faults
fault 'match=leaf&kind=garbage'
refuses '{"dependencies":{"leaf":"1"}}' 'leaf'
