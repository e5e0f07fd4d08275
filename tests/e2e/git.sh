#!/usr/bin/env bash
# dx lock of dependencies from git: the same commits and entries as npm's from the same repositories;
# what is refused; that what was resolved can be fetched.
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
command -v git >/dev/null || skip 'git is not installed'
start_registry
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
for who in AUTHOR COMMITTER; do
	export GIT_${who}_NAME=nobody GIT_${who}_EMAIL=nobody@registry.test GIT_${who}_DATE=2020-01-01T00:00:00Z
done

# --- repositories ---
mkdir work
cd work
git init -q -b main
commit() { # commit VERSION [MEMBERS]
	printf '{"name":"lib","version":"%s","main":"i.js","dependencies":{"leaf":"1"}%s}\n' "$1" "${2:-}" >package.json
	git add -A -f
	git commit -q -m "$1"
}
echo 1 >i.js
mkdir -p sub/dir/bins/deep
echo '{"name":"below","version":"7.0.0","directories":{"bin":"bins"}}' >sub/dir/package.json
echo x >sub/dir/bins/tool
echo x >sub/dir/bins/deep/er
commit 1.0.0
git tag v1.0.0
commit 1.1.0 ',"bin":"i.js","license":"MIT","scripts":{"install":"true"}'
git tag -a -m annotated release-v1.1.0
commit 1.2.0-pre.1
git tag 1.2.0-pre.1
commit 2.0.0 ',"optionalDependencies":{"leaf":"2"}'
git tag v2.0.0
git checkout -q -b side
echo gyp >binding.gyp
commit 3.0.0-side
short=$(git rev-parse --short=9 v1.0.0)
whole=$(git rev-parse 'release-v1.1.0^{commit}')
git checkout -q main
rm -f binding.gyp
commit 2.1.0
git update-ref refs/pull/7/head side
cd "$T"
git clone -q --mirror work lib.git
git init -q --bare -b main empty.git
URL=git+file://$T/lib.git

# --- the same as npm ---
npm=''
! command -v npm >/dev/null || [ "$(npm --version | cut -d. -f1)" != 11 ] || npm=1
compare() { # compare NAME MEMBERS-OF-PACKAGE.JSON
	mkdir -p "$T/$1/npm"
	cd "$T/$1"
	printf '{"name":"p","version":"1.0.0",%s}\n' "$2" >package.json
	cp package.json npm/
	dx lock
	[ "$1" = optional ] || dx lock --check # npm, too, refuses that lock of its own
	dx lock export >ours.json
	[ -n "$npm" ] || return 0
	(cd npm && npm_config_logs_max=0 npm install --package-lock-only --ignore-scripts --no-audit --no-fund >npm.out 2>&1) || fail "$1: npm: $(tail -3 npm/npm.out)"
	node "$here/../registry/resolve_diff.js" "$1" npm/package-lock.json ours.json || fail "$1 differs from npm's"
}
version() {
	dx lock export | node -e 'console.log(JSON.parse(require("fs").readFileSync(0)).packages["node_modules/'"$1"'"].version)'
}
i=0
while read -r spec want; do
	i=$((i + 1))
	[ "$spec" != - ] || spec=''
	compare "spec$i" "\"dependencies\":{\"lib\":\"$URL$spec\"}"
	same "$spec" "$want" "$(version lib)"
done <<SPECS
- 2.1.0
#main 2.1.0
#side 3.0.0-side
#v1.0.0 1.0.0
#release-v1.1.0 1.1.0
#refs/heads/side 3.0.0-side
#pull/7 3.0.0-side
#$short 1.0.0
#$whole 1.1.0
#side~1 2.0.0
#semver:^1 1.1.0
#semver:^1.2.0-pre 1.2.0-pre.1
#semver:* 2.0.0
#semver:1.x%20||%202.x 2.0.0
SPECS
# The one place where npm takes the folder and forgets it: so do we.
compare subdir "\"dependencies\":{\"below\":\"$URL#main::path:sub/dir\"}"
same 'a folder' 7.0.0 "$(version below)"
compare beside "\"dependencies\":{\"lib\":\"$URL#v1.0.0\",\"leaf\":\"2\"},\"devDependencies\":{\"other\":\"$URL#semver:^2\"}"
compare optional "\"dependencies\":{\"leaf\":\"1\"},\"optionalDependencies\":{\"lib\":\"git+file://$T/nowhere.git\"}"

# --- kept to, and renewed ---
cd "$T/spec1"
dx lock export >before
(cd "$T/work" && commit 2.2.0 && git push -q ../lib.git main)
dx lock
dx lock export | cmp - before || fail 'a commit that is there is kept to'
dx update lib
same 'update' 2.2.0 "$(version lib)"
dx fetch
dx export "$T/exported"
same 'what is fetched' '"version":"2.2.0"' "$(grep -o '"version":"[^"]*"' "$T/exported/lib/package.json")"

# --- what cannot be ---
refused() { # refused SPEC SENTENCE
	mkdir -p "$T/refused"
	cd "$T/refused"
	rm -f dx.lock
	printf '{"name":"p","dependencies":{"lib":"%s"}}\n' "$1" >package.json
	fails 1 "$DXFS_BIN/dx" lock
	grep -qF "$2" "$T/out" || fail "$1: $(cat "$T/out")"
	[ ! -e dx.lock ] || fail "$1: a lock is written"
}
refused "$URL#nothing" 'no such commit'
refused "$URL#semver:^9" 'no tag with a version that fits'
refused "$URL#main::path:none" 'there is no package.json'
refused "$URL#--upload-pack=touch" 'no such commit'
refused "git+file://$T/nowhere.git" 'nowhere.git'
refused "git+file://$T/empty.git" 'empty'
refused "git+ssh://-oProxyCommand=touch/x" 'no address'
refused "git+ssh://git@-oProxyCommand=touch:x/y.git" 'no address'
GIT_CONFIG_GLOBAL=/dev/null refused 'git+http://127.0.0.1:1/x.git' '127.0.0.1'
mkdir "$T/no-git"
ln -s "$(command -v node)" "$T/no-git/node"
fails 1 env PATH="$T/no-git" "$DXFS_BIN/dx" lock
grep -q 'needs git' "$T/out" || fail "without git: $(cat "$T/out")"
npm_config_offline=true fails 1 "$DXFS_BIN/dx" lock
grep -q offline "$T/out" || fail 'offline is said'
[ -z "$(find "$T" -maxdepth 1 -name 'dx-git-*')" ] || fail 'a copy is left behind'

# --- dx add, by the name that the package has ---
mkdir "$T/add"
cd "$T/add"
echo '{"name":"p","version":"1.0.0"}' >package.json
dx add "$URL#v1.0.0"
grep -qF "\"lib\":\"$URL#v1.0.0\"" package.json || fail "add: $(cat package.json)"
same 'added' 1.0.0 "$(version lib)"
mkdir folder
echo '{"name":"inside","version":"1.0.0"}' >folder/package.json
dx add ./folder
grep -q '"inside":"file:folder"' package.json || fail "add a folder: $(cat package.json)"
fails 1 "$DXFS_BIN/dx" add ./no-folder
fails 1 "$DXFS_BIN/dx" update no-such-name
grep -q 'nothing in this project has that name' "$T/out" || fail "update: $(cat "$T/out")"
dx update leaf

# --- the commit that another tool's lock pins ---
mkdir "$T/pinned"
cd "$T/pinned"
printf '{"name":"p","version":"1.0.0","dependencies":{"lib":"%s"}}\n' "$URL" >package.json
printf '# yarn lockfile v1\n\n\n"lib@%s":\n  version "1.1.0"\n  resolved "%s#%s"\n' "$URL" "$URL" "$whole" >yarn.lock
dx lock
same 'pinned by yarn' 1.1.0 "$(version lib)"
rm dx.lock yarn.lock
printf '{ "lockfileVersion": 1, "workspaces": { "": { "dependencies": { "lib": "%s" } } },\n"packages": { "lib": ["lib@%s#%s", {}, "x"], }, }\n' "$URL" "$URL" "$short" >bun.lock
dx lock
same 'pinned by bun' 1.0.0 "$(version lib)"
