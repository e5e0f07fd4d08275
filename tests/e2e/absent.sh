#!/usr/bin/env bash
# An optional package that the registry does not have goes absent, with what only it used.
. "$(dirname "$0")/lib.sh"
cp -a "$FIXTURES" "$T/fixtures"
rm "$T/fixtures/registry/opt-glibc-1.0.0.tgz"
FIXTURES=$T/fixtures
start_registry
project optional-below
mount_it --prefetch=none
fails 1 cat node_modules/opt-glibc/index.js
absent() { [ ! -e node_modules/opt-glibc ]; }
until_true 10 absent
[ -z "$(find node_modules -maxdepth 1 -name opt-glibc)" ] || fail "still listed"
same "its holder stays" "opt-holder@1.0.0" "$(node -p 'require("opt-holder")')"
! grep -q node_modules/opt-glibc node_modules/.package-lock.json || fail "still in the hidden lockfile"
