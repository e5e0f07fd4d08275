#!/usr/bin/env bash
# Locks and manifests that are damaged, hostile or of the future: one sentence each, nothing mounted.
. "$(dirname "$0")/lib.sh"
start_registry
project nested
cp package-lock.json "$T/lock.json"
cp package.json "$T/package.json"

# refused WHAT WORDS [options]: exit 1, one line that has the words (a regex), no mount, no folder.
refused() {
	local what=$1 words=$2
	shift 2
	fails 1 dxfs mount "$@" ./node_modules
	same "$what: lines" 1 "$(wc -l <"$T/out")"
	grep -qE -- "$words" "$T/out" || fail "$what: no '$words' in: $(cat "$T/out")"
	same "$what: mounts" 0 "$(mounts)"
	[ ! -e node_modules ] || fail "$what: node_modules is left behind"
}

# edit 'JAVASCRIPT over the lock l'
edit() {
	node -e 'const fs = require("fs"), l = JSON.parse(fs.readFileSync(process.argv[1]));
		const leaf = l.packages["node_modules/leaf"];
		eval(process.argv[2]);
		fs.writeFileSync("package-lock.json", JSON.stringify(l));' "$T/lock.json" "$1"
}

# ---- package-lock.json ----

for text in garbage '' '{"lockfileVersion": 3, "packages": {' '{"packages": {}} x' "$(printf '\xff\xfe{')"; do
	printf '%s' "$text" >package-lock.json
	refused "lock '$text'" 'package-lock.json: not valid JSON.*npm install'
done
echo '[]' >package-lock.json
refused "an array" 'package-lock.json: .*no object'
echo '{"lockfileVersion": 9, "packages": {}}' >package-lock.json
refused "of the future" 'package-lock.json: .*version 9; versions 1 to 3'
head -c 5000000 /dev/zero | tr '\0' '[' >package-lock.json
refused "deep JSON" 'package-lock.json: .*deeper than'
rm package-lock.json
mkdir package-lock.json
refused "a folder" 'package-lock.json: not a regular file'
rmdir package-lock.json
mkfifo package-lock.json
refused "a pipe" 'package-lock.json: not a regular file'
rm package-lock.json
refused "no lock" 'there is no lock; make one with'

for key in node_modules/../../evil node_modules/.. node_modules/. /etc/x node_modules//leaf node_modules/leaf/ \
	node_modules/.bin node_modules/.package-lock.json node_modules/@scope node_modules/node_modules; do
	edit "l.packages['$key'] = leaf"
	refused "$key" "package-lock.json: the lock's entry \"$key\" .*npm install"
done
edit 'l.packages["node_modules/nul\0x"] = leaf'
refused "NUL" 'package-lock.json: .*NUL'
edit 'l.packages["node_modules/out"] = { resolved: "../../..", link: true }'
refused "a link out" 'node_modules/out.*links to "../../.."'
edit 'l.packages["node_modules/a"] = { resolved: "node_modules/b", link: true };
	l.packages["node_modules/b"] = { resolved: "node_modules/a", link: true }'
refused "a cycle of links" 'node_modules/a.*link to another link'
edit 'leaf.integrity = "sha512-xx"'
refused "a broken integrity" 'the lock.s entry "node_modules/leaf": integrity "sha512-xx"'
edit 'leaf.version = 5'
refused "a version of another type" 'node_modules/leaf: "version" is not a string'
edit 'l.packages["node_modules/leaf"] = "x"'
refused "an entry of another type" 'entry "node_modules/leaf" is no object'

# What no dependency reaches is not shown, wherever it wants to stand.
edit 'l.packages["../../evil"] = leaf; l.packages["../evil/node_modules/leaf"] = leaf'
mount_it --read-only
same "with entries outside" 1 "$(mounts)"
[ ! -e ../evil ] && [ ! -e ../../evil ] || fail "something was made outside of the project"
unmount_it

# EUSAGE: what does not fit is named.
edit 'delete l.packages["node_modules/needs-leaf2"]'
refused "an entry is missing" 'do not fit: Missing: needs-leaf2@.* from lock file.*npm install'
edit 'leaf.version = "3.0.0"'
refused "an other version" 'do not fit: .*leaf@3.0.0.*npm install'

# ---- package.json ----

cp "$T/lock.json" package-lock.json
echo '{' >package.json
refused "package.json broken" 'package.json: not valid JSON'
echo '[]' >package.json
refused "package.json of another type" 'package.json: .*no object'
rm package.json package-lock.json
refused "neither package.json nor lock" 'no package.json|there is no lock'

# ---- DXL ----

cp "$T/package.json" package.json
cp "$T/lock.json" package-lock.json
rm "$T"/state/dxfs/cache/*.dxl
mount_it
unmount_it
derived=$(echo "$T"/state/dxfs/cache/*.dxl)
cp "$derived" "$T/good"

spoil() { # KIND: what was good, to $T/bad
	cp "$T/good" "$T/bad"
	case $1 in
	empty) : >"$T/bad" ;;
	garbage) head -c 3000 /dev/urandom >"$T/bad" ;;
	header) truncate -s 100 "$T/bad" ;;
	cut) truncate -s -1 "$T/bad" ;;
	longer) printf x >>"$T/bad" ;;
	zeros) truncate -s 2G "$T/bad" ;;
	future) printf '\7' | dd of="$T/bad" bs=1 seek=4 conv=notrunc status=none ;;
	flipped) printf '\377' | dd of="$T/bad" bs=1 seek=500 conv=notrunc status=none ;;
	esac
}

for kind in empty garbage header cut longer zeros future flipped; do
	case $kind in
	future) words='format version 7, and this program knows only' ;;
	flipped) words='checksum .*damaged' ;;
	cut | longer) words='cut off, or something was appended' ;;
	zeros) words='more than the limit|not a lock' ;;
	*) words='not a lock' ;;
	esac
	spoil $kind
	refused "--lock $kind" "^dxfs mount: $T/bad: .*$words" --lock="$T/bad"
	[ $kind = zeros ] && continue # the file is as long as that
	# What was derived is made anew, silently.
	cat "$T/bad" >"$derived"
	mount_it
	unmount_it
	cmp "$T/good" "$derived" || fail "derived, $kind: not made anew"
	rm package-lock.json
	cp "$T/bad" dx.lock
	refused "dx.lock $kind" "dx.lock: .*$words.*dx lock"
	if [ $kind = garbage ]; then # what it advises works
		dx lock >"$T/out" 2>&1 || fail "dx lock does not mend dx.lock: $(cat "$T/out")"
		dx lock --check >/dev/null || fail "dx lock has not mended dx.lock"
		with_leaf99='p = JSON.parse(fs.readFileSync("package.json")); (p.dependencies ??= {}).leaf = "99"'
		node -e "$with_leaf99; fs.writeFileSync('package.json', JSON.stringify(p))"
		refused "dx.lock that does not fit" 'do not fit: .*leaf@.*dx lock'
		cp "$T/package.json" package.json
	fi
	rm dx.lock
	cp "$T/lock.json" package-lock.json
done
refused "a folder as DXL" 'not a regular file' --lock=.
refused "no such DXL" "$T/nowhere: No such file" --lock="$T/nowhere"

# ---- the mount's own state: worth nothing, so its loss costs nothing ----

mount_it --prefetch=all
inode=$(stat -c %i node_modules/leaf/index.js)
unmount_it
for f in "$T"/state/dxfs/*/{slots,node-version}; do
	for how in garbage empty cut; do
		case $how in
		garbage) head -c 400 /dev/urandom >"$f" ;;
		empty) : >"$f" ;;
		cut) truncate -s -3 "$f" ;;
		esac
		mount_it
		same "$f $how" "leaf@2.0.0" "$(node -p 'require("needs-leaf2/node_modules/leaf")')"
		unmount_it
	done
done
mount_it
[ "$(stat -c %i node_modules/leaf/index.js)" -gt 0 ] && [ "$inode" -gt 0 ] || fail "no inode numbers"
