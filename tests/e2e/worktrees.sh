#!/usr/bin/env bash
# git worktrees: one mount each, made by a hook, gone without a trace.
. "$(dirname "$0")/lib.sh"
command -v git >/dev/null || skip "no git here"
export GIT_CONFIG_GLOBAL=$T/gitconfig GIT_CONFIG_NOSYSTEM=1 PATH=$DXFS_BIN:$PATH
git config --global user.name tester
git config --global user.email tester@registry.test
start_registry
project nested
printf 'node_modules\n' >.gitignore
git init -q .
git add -A
git commit -qm first
dx fetch >/dev/null

states() { find "$T/state/dxfs" -mindepth 1 -maxdepth 1 ! -name cache | wc -l; }

# ---- by hand: unmount, remove; nothing is left but what other checkouts share ----

git worktree add -q ../w1
dxfs mount ../w1/node_modules
same "it is used" leaf@2.0.0 "$(cd ../w1 && node -p 'require("needs-leaf2/node_modules/leaf")')"
[ "$(cd ../w1 && git status --porcelain)" = "" ] || fail "the worktree is not clean"
dxfs unmount ../w1/node_modules
git worktree remove ../w1
[ ! -e ../w1 ] || fail "something is left: $(ls -a ../w1)"
same "worktrees" 1 "$(git worktree list | wc -l)"
same "the state stays until the next mount" 1 "$(states)"
mount_it
only_ours() { [ "$(states)" = 1 ] && ! grep -qs /w1/ "$T"/state/dxfs/*/mountpoint; }
until_true 20 only_ours

# ---- many, of one lock: parsed once, node asked once ----

for i in 1 2 3 4 5; do
	git worktree add -q "../many$i"
	dxfs mount --offline "../many$i/node_modules"
done
same "locks kept" 1 "$(find "$T/state/dxfs/cache" -name '*.dxl' | wc -l)"
same "mounts" 6 "$(mounts)"
for i in 1 2 3 4 5; do
	dxfs unmount "../many$i/node_modules"
	git worktree remove "../many$i"
done
same "mounts" 1 "$(mounts)"

# ---- what was written is kept ----

git worktree add -q ../w2
dxfs mount ../w2/node_modules
echo mine >../w2/node_modules/leaf/mine
dxfs unmount ../w2/node_modules
git worktree remove ../w2
unmount_it
mount_it
dxfs status >"$T/said"
grep -q "^$T/w2/node_modules: its project is gone" "$T/said" || fail "$(cat "$T/said")"
same "kept, as JSON" "1 1 $T/w2/node_modules $T/state/dxfs" "$(dxfs status --json | node -e '
	const all = JSON.parse(fs.readFileSync(0)), kept = all.filter((m) => "kept" in m);
	console.log(all.length - kept.length, kept.length, kept[0].mountpoint, path.dirname(kept[0].kept));')"
kept=$(grep -ls '/w2/' "$T"/state/dxfs/*/mountpoint)
same "kept" mine "$(cat "${kept%/mountpoint}"/upper/pkg/*/mine)"
unmount_it

# A worktree made anew at the same place is another project.
git worktree add -qf ../w2 w2
dxfs mount ../w2/node_modules 2>"$T/said"
grep -q 'stood here before' "$T/said" || fail "it does not say that something is set aside"
[ ! -e ../w2/node_modules/leaf/mine ] || fail "another project's file is shown"
dxfs unmount ../w2/node_modules
git worktree remove ../w2

# ---- removed around a live mount: as far as git comes; the rest the second time ----

git worktree add -q ../w3
dxfs mount ../w3/node_modules
pid=$(cd ../w3 && status s.pid)
fails 255 git worktree remove ../w3
grep -q 'busy' "$T/out" || fail "$(cat "$T/out")"
gone "$pid"
rm -rf ../w3
git worktree prune
[ ! -e ../w3 ] || fail "w3 is still there"
git worktree add -qf ../w3 w3
dxfs mount ../w3/node_modules
pid=$(cd ../w3 && status s.pid)
same "nothing of before" leaf@2.0.0 "$(cd ../w3 && node -p 'require("needs-leaf2/node_modules/leaf")')"
fails 1 rm -rf ../w3
gone "$pid"
rm -rf ../w3
git worktree prune

# ---- a hook that mounts; a real `git worktree add` runs it ----

cat >.git/hooks/post-checkout <<'HOOK'
#!/bin/sh
# Mounts node_modules wherever a checkout has a lock and nothing mounted or installed yet.
[ "$3" = 1 ] && [ -f package-lock.json ] || exit 0
[ -d node_modules ] || exec dxfs mount ./node_modules
HOOK
chmod +x .git/hooks/post-checkout
git worktree add -q ../w4
same "mounted by the hook" leaf@2.0.0 "$(cd ../w4 && node -p 'require("needs-leaf2/node_modules/leaf")')"
(cd ../w4 && git checkout -q -b other) # mounted already: the hook leaves it alone
git config alias.rmtree "!f() { dxfs unmount \"\$1/node_modules\"; git worktree remove \"\$1\"; }; f"
git rmtree ../w4
[ ! -e ../w4 ] || fail "something is left"
rm .git/hooks/post-checkout

# ---- the line for direnv, as its shell would run it ----

git worktree add -q ../w5
echo '[ -d node_modules ] || dxfs mount ./node_modules' >../w5/.envrc
for _ in 1 2; do (cd ../w5 && bash -eu ./.envrc); done
same "mounted by .envrc" leaf@2.0.0 "$(cd ../w5 && node -p 'require("needs-leaf2/node_modules/leaf")')"
rm ../w5/.envrc
git rmtree ../w5
[ ! -e ../w5 ] || fail "something is left"
same "no mounts" 0 "$(mounts)"
