#!/usr/bin/env bash
# dx rebuild: which scripts run, when, in which environment, and what is left of one that fails.
. "$(dirname "$0")/lib.sh"
command -v npm >/dev/null || skip "npm is not installed; scripts run in its environment"
start_registry

# ---- what npm does ----
project scripts
cp -a . "$T/npm"
(
	cd "$T/npm"
	touch mended
	npm ci --no-audit >"$T/npm.log" 2>&1 || fail "npm ci: $(cat "$T/npm.log")"
	npm rebuild scr-first >/dev/null 2>&1 || fail "npm rebuild"
)

mount_it
fails 0 dx rebuild --dry-run
same "nothing ran to say what would" "" "$(find node_modules/ -name log.txt)"
same "what would run" "scr-after@1.0.0 install
scr-bundler@1.0.0 install
scr-first@1.0.0 install
scr-first@1.0.0 postinstall
scr-first@1.0.0 preinstall
scr-gyp@1.0.0 install
scr-optional@1.0.0 postinstall" "$(sed 's/:.*//' "$T/out" | sort)"

# ---- the first time ----
touch mended
dx rebuild 2>"$T/err" || fail "dx rebuild: $(cat "$T/err")"
same "each event in its turn, .bin on the PATH" "pre tool install post" "$(tr '\n' ' ' <node_modules/scr-first/log.txt | sed 's/ $//')"
same "what it depends on came before" "pre tool install post" "$(tr '\n' ' ' <node_modules/scr-after/first.txt | sed 's/ $//')"
same "node-gyp" "rebuild" "$(cat node_modules/scr-gyp/built)"
[ ! -e node_modules/scr-gyp-not/built ] || fail "gypfile: false"
[ -e node_modules/scr-bundler/done ] || fail "scr-bundler did not run"
[ ! -e never ] || fail "what is denied, or came in a bundle, ran"
same "tried once" "tried" "$(cat tried)"
log=$(find "$XDG_STATE_HOME" -name rebuild.log)
for line in "nothing to read" "a line" "another"; do
	grep -qx "$line" "$log" || fail "the log lacks '$line'"
done

# The environment is npm's. These tell who called, not how.
env_of() {
	tr '\0' '\n' <"$1" | sed "s|$T/npm|$T/scripts|g" | grep -vE '^(_|SHLVL|OLDPWD|PWD)=' | sort
}
diff <(env_of "$T/npm/node_modules/scr-first/env") <(env_of node_modules/scr-first/env) >"$T/env.diff" ||
	fail "the environment is not npm's: $(cat "$T/env.diff")"

# ---- once ----
rm node_modules/scr-first/log.txt
dx rebuild 2>"$T/err" || fail "dx rebuild, again"
[ ! -e node_modules/scr-first/log.txt ] || fail "it ran twice"
unmount_it
mount_it
dx rebuild 2>"$T/err"
[ ! -e node_modules/scr-first/log.txt ] || fail "it ran twice, after mounting again"
[ -e node_modules/scr-after/first.txt ] || fail "what a script wrote is gone"
dx rebuild scr-first@^1 2>"$T/err" || fail "dx rebuild PKG"
same "again when named" "pre" "$(head -1 node_modules/scr-first/log.txt)"

# ---- what is not allowed ----
fails 1 dx rebuild scr-never
grep -q "does not allow" "$T/out" || fail "it does not say why"
fails 1 dx rebuild node_modules/scr-bundler/node_modules/scr-never
fails 1 dx rebuild no-such-package
npm_config_ignore_scripts=true dx rebuild scr-first 2>"$T/err"
grep -q "ignore-scripts" "$T/err" || fail "ignore-scripts"
npm_config_allow_scripts=leaf fails 1 dx rebuild
unmount_it
fails 1 dx rebuild
grep -q "is not mounted" "$T/out" || fail "it does not say that it is not mounted"
mount_it --read-only
fails 1 dx rebuild
grep -q "reading only" "$T/out" || fail "it does not say that it is read-only"
unmount_it

# ---- a script fails ----
rm -r mended tried "$XDG_STATE_HOME"/dxfs/*/upper
mount_it
dx rebuild 2>"$T/err" || fail "a script of an optional package failed, and dx rebuild with it"
grep -q "left out" "$T/err" || fail "it does not say what it leaves out"
same "left out, with what only it needs" "" "$(ls -d node_modules/scr-optional node_modules/scr-only 2>/dev/null)"
[ -e node_modules/leaf ] || fail "leaf is needed by others"
! grep -q scr-optional node_modules/.package-lock.json || fail "the hidden lockfile has it"
unmount_it
mount_it
[ ! -e node_modules/scr-optional ] || fail "it is back after mounting again"
dx rebuild 2>"$T/err"
same "tried once" "tried" "$(cat tried)"
touch mended
dx rebuild node_modules/scr-optional 2>"$T/err" || fail "dx rebuild scr-optional: $(cat "$T/err")"
same "it is back" "scr-optional" "$(node -p 'require("scr-optional")')"
[ -e node_modules/scr-only ] || fail "what it needs is not back"
unmount_it

project scripts-fail
mount_it
fails 1 dx rebuild
log=$(grep -oE '/[^ ]*/rebuild.log' "$T/out") || fail "the log is not named: $(cat "$T/out")"
grep -q "why it failed" "$T/out" || fail "its last lines are not shown"
grep -q "exit status 3" "$T/out" || fail "its status is not shown"
grep -qx "before" "$log" || fail "the log lacks its output"
grep -q "may: scr-first@1.0.0" "$T/out" || fail "what nobody decided about is not named"
[ ! -e never ] || fail "postinstall ran after install had failed"
fails 1 dx rebuild # it has not run
echo 'allow-scripts=scr-first' >.npmrc
fails 1 dx rebuild scr-first
node -e 'const f = "package.json", j = JSON.parse(fs.readFileSync(f)); delete j.allowScripts; fs.writeFileSync(f, JSON.stringify(j))'
dx rebuild 2>"$T/err" || fail "allow-scripts in .npmrc: $(cat "$T/err")"
[ -e node_modules/scr-first/log.txt ] || fail "allow-scripts in .npmrc did not allow it"
echo 'strict-allow-scripts=true' >>.npmrc
fails 1 dx rebuild
unmount_it

# ---- a lock of version 1 does not say who has scripts: package.json does ----
project scripts-v1
mount_it
dx rebuild 2>"$T/err" || fail "lockfileVersion 1: $(cat "$T/err")"
[ -e node_modules/scr-first/env ] || fail "lockfileVersion 1: nothing ran: $(cat "$T/err")"
unmount_it
