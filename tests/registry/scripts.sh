#!/usr/bin/env bash
# Install scripts and patches of real packages, through a mount: scripts.sh
# The packages come from whatever registry npm is configured for; exit status 77 where none
# answers. Ends with "N passed, N failed, N skipped". Environment: DXFS_BIN, DX_STORE as oracle.sh.
set -u -o pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
bin=$(realpath -m "${DXFS_BIN:-$top/build/fs}")

# shellcheck source=/dev/null
. "$top/tests/registry/ask.sh"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/scripts.XXXXXX") || exit 1
npm_config_cache=$(npm config get cache) npm_config_userconfig=$(npm config get userconfig)
export npm_config_cache npm_config_userconfig npm_config_update_notifier=false
export XDG_STATE_HOME=$scratch/state XDG_CACHE_HOME=$scratch/cache HOME=$scratch/home
export DX_STORE=${DX_STORE:-$scratch/store}
mkdir -p "$scratch/home" "$scratch/tmp"
# core-js thanks once in three minutes and TMPDIR, and never where it sees a CI or an ad blocker.
export TMPDIR=$scratch/tmp
unset CI BUILD_NUMBER CONTINUOUS_INTEGRATION DRONE RUN_ID ADBLOCK DISABLE_OPENCOLLECTIVE OPEN_SOURCE_CONTRIBUTOR npm_config_loglevel
cleanup() {
	cd /
	! mountpoint -q "$scratch/p/node_modules" || "$bin/dxfs" unmount "$scratch/p/node_modules" || umount -l "$scratch/p/node_modules"
	rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

passed=0 failed=0 skipped=0
# check WHAT COMMAND...: in the project.
check() {
	local what=$1
	shift
	if "$@" >"$scratch/out" 2>&1; then
		passed=$((passed + 1))
		echo "PASS scripts: $what"
	else
		failed=$((failed + 1))
		echo "FAIL scripts: $what"
		tail -15 "$scratch/out" | sed 's/^/    /'
	fi
}

mkdir "$scratch/p"
cd "$scratch/p" || exit 1
cat >package.json <<'END'
{
  "name": "scripts", "version": "1.0.0", "private": true,
  "allowScripts": { "esbuild": true, "core-js": true, "bufferutil": true, "unrs-resolver": true },
  "dependencies": { "esbuild": "0.25.0", "core-js": "3.37.0", "bufferutil": "4.0.8", "unrs-resolver": "1.7.2", "lodash": "4.17.21", "is-odd": "3.0.1", "is-number": "7.0.0" },
  "devDependencies": { "patch-package": "8.0.1" }
}
END
# At a date, so that it is the same tomorrow.
check "a lock" npm install --package-lock-only --no-audit --before=2026-11-15
check "mount" "$bin/dxfs" mount node_modules

# ---- install scripts ----
check "dx rebuild" "$bin/dx" rebuild
# It puts the program in place of the JavaScript that would start it.
check "esbuild's script ran" bash -c '! head -c 2 node_modules/esbuild/bin/esbuild | grep -q "#!"'
check "esbuild works" bash -c 'echo "let a: number = 1" | node_modules/.bin/esbuild --loader=ts | grep -q "let a = 1"'
check "core-js's script ran" grep -q "Thank you for using core-js" "$XDG_STATE_HOME"/dxfs/*/rebuild.log
check "none runs twice" bash -c '"$1" rebuild 2>&1 | grep -q "of 0 packages"' - "$bin/dx"
check "npm sees what it wrote" npm ls --all

# ---- native code ----
headers=$(node -p 'require("path").dirname(require("path").dirname(process.execPath))')
if [ -f "$headers/include/node/node_api.h" ] && command -v make >/dev/null && command -v g++ >/dev/null && command -v python3 >/dev/null; then
	export npm_config_nodedir=$headers npm_config_build_from_source=true
	check "dx rebuild of a node-gyp package" "$bin/dx" rebuild bufferutil
	check "it was compiled here" node -e 'if (!fs.existsSync("node_modules/bufferutil/build/Release/bufferutil.node")) process.exit(1)'
	check "it works" node -e 'const b = Buffer.from([1]); require("./node_modules/bufferutil/build/Release/bufferutil.node").unmask(b, Buffer.from([3, 0, 0, 0])); if (b[0] !== 2) process.exit(1)'
	rm -r node_modules/bufferutil/build
	check "npm rebuild of it" npm rebuild bufferutil
	check "npm compiled it" test -e node_modules/bufferutil/build/Release/bufferutil.node
	unset npm_config_nodedir npm_config_build_from_source
else
	skipped=$((skipped + 1))
	echo "SKIP scripts: no headers of node, or no compiler: native code"
fi

# ---- patches ----
edit() {
	sed -i "s/^  var VERSION = .*/  var VERSION = 'patched';/" node_modules/lodash/lodash.js &&
		printf '// no newline at the end' >>node_modules/lodash/fp.js && rm node_modules/lodash/zip.js &&
		mkdir node_modules/lodash/own && echo "module.exports = 'new';" >node_modules/lodash/own/new.js &&
		chmod +x node_modules/lodash/add.js && touch node_modules/lodash/empty.txt &&
		sed -i 's/^/\t/' node_modules/is-odd/index.js && sed -i '1i // nested' node_modules/is-odd/node_modules/is-number/index.js
}
check "an edit of three packages" edit
check "dxfs patch" "$bin/dxfs" patch node_modules lodash
check "dxfs patch, of one more" "$bin/dxfs" patch node_modules is-odd
check "dxfs patch, of one in another" "$bin/dxfs" patch node_modules is-odd/is-number
cp -r patches ours
# Its own patch of the same edit.
check "patch-package makes a patch" node_modules/.bin/patch-package lodash
check "it is ours, byte for byte" cmp ours/lodash+4.17.21.patch patches/lodash+4.17.21.patch
check "patch-package makes one of what stands in another" node_modules/.bin/patch-package is-odd/is-number
check "it is ours, too" cmp ours/is-odd++is-number+6.0.0.patch patches/is-odd++is-number+6.0.0.patch
rm -rf patches
cp -r ours patches

# Applied by patch-package to what npm wrote, ours gives what the mount shows.
apply() {
	mkdir "$scratch/plain" && cp -r package.json package-lock.json patches "$scratch/plain/" && cd "$scratch/plain" &&
		npm ci --ignore-scripts --no-audit && node_modules/.bin/patch-package && cd - &&
		diff -r node_modules/lodash "$scratch/plain/node_modules/lodash" && diff -r node_modules/is-odd "$scratch/plain/node_modules/is-odd" &&
		[ -x "$scratch/plain/node_modules/lodash/add.js" ]
}
check "patch-package applies it" apply
git -C "$scratch" --version >/dev/null 2>&1 && check "git takes it back" bash -c 'cd "$1" && cat patches/*.patch | git apply -R' - "$scratch/plain"
check "unmount" "$bin/dxfs" unmount node_modules
# In the mount itself, as a project's postinstall does it.
check "mount again, with nothing written" bash -c 'rm -r "$XDG_STATE_HOME"/dxfs/*/upper && "$1" mount node_modules' - "$bin/dxfs"
check "patch-package in the mount" node_modules/.bin/patch-package
check "it is there" node -e 'if (require("lodash").VERSION !== "patched" || require("lodash/own/new") !== "new") process.exit(1)'
check "unmount, at last" "$bin/dxfs" unmount node_modules
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
