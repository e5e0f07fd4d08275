#!/usr/bin/env bash
# dx lock, add, remove and update make the same package.json files and locks as npm does, byte for
# byte: the rows of as_npm.data.
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
command -v npm >/dev/null || skip 'npm, the oracle, is not installed'
[ "$(npm --version | cut -d. -f1)" = 11 ] || skip 'the oracle is npm 11'
npm=$(dirname "$(dirname "$(realpath "$(command -v npm)")")")
start_registry
export npm_config_package_lock_only=true npm_config_ignore_scripts=true npm_config_audit=false \
	npm_config_fund=false npm_config_loglevel=silent npm_config_logs_max=0

# as_npm FILE: runs what it lists, with npm; what it says is in $T/said.
as_npm() {
	node "$here/as_npm.js" "$npm" <"$1" >"$T/said" 2>"$T/err" || fail "npm: $(tail -3 "$T/err")"
}

# --- the projects that the rows begin with ---
json() { # json FILE TEXT
	mkdir -p "$(dirname "$1")"
	node -e 'console.log(JSON.stringify(eval("(" + process.argv[1] + ")"), null, 2))' "$2" >"$1"
}

mkdir base
cd base
json empty/p/package.json '{name: "p", version: "1.0.0"}'
json locked/p/package.json '{name: "p", version: "1.0.0", dependencies: {leaf: "^1.0.0"}, devDependencies: {"needs-leaf2": "^1.0.0"},
	optionalDependencies: {peered: "1"}, peerDependencies: {"@scope/leaf": "1"}}'
mkdir -p locked/p/src/deep
json locked/x/package.json '{name: "x", version: "1.2.3", dependencies: {leaf: "2"}}'
json locked/y/package.json '{name: "y", version: "0.1.0", devDependencies: {leaf: "2"}}'
cp "$(find "$FIXTURES/registry" -name leaf-2.0.0.tgz -not -path '*scope*')" locked/y/leaf.tgz
json old/p/package.json '{name: "p", version: "1.0.0", dependencies: {"@scope/leaf": "1.0.0", leaf: "1.0.0"}}'
json twice/p/package.json '{name: "p", version: "1.0.0", dependencies: {x1: "file:../x", x2: "file:../x"}}'
cp -r locked/x twice/x
json ws/p/package.json '{name: "root", version: "1.0.0", workspaces: ["packages/*"], dependencies: {leaf: "^1.0.0"}}'
json ws/p/packages/a/package.json '{name: "a", version: "1.1.0", dependencies: {b: "*", leaf: "2"}}'
json ws/p/packages/b/package.json '{name: "b", version: "1.2.0", devDependencies: {"needs-leaf1": "1"}}'
mkdir ws/p/packages/b/sub
cp -r ws wsfile
json wsfile/p/package.json '{name: "root", version: "1.0.0", workspaces: ["packages/*"], dependencies: {aa: "file:packages/a", b: "file:packages/b"}}'
json wsfile/p/packages/a/package.json '{name: "a", version: "1.1.0", dependencies: {b: "file:../b", leaf: "2"}}'
json meta/p/package.json '{name: "p", version: "1.0.0", devDependencies: {leaf: "1"}, peerDependencies: {leaf: "1", peered: "1"},
	peerDependenciesMeta: {leaf: {optional: true}, peered: {optional: true}}}'
json bundle/p/package.json '{name: "p", version: "1.0.0", dependencies: {"@scope/leaf": "1", leaf: "1"}, bundleDependencies: ["leaf"]}'
json both/p/package.json '{name: "p", version: "1.0.0", dependencies: {leaf: "^1.0.0"}, optionalDependencies: {leaf: "^1.0.0"}, devDependencies: {peered: "1"}}'
json peer/p/package.json '{name: "p", version: "1.0.0", dependencies: {leaf: "^1.0.0"}, peerDependencies: {leaf: "^1.0.0"}}'
for name in locked old ws meta bundle both peer; do
	printf '%s\tinstall\n' "$T/base/$name/p"
done >"$T/list"
as_npm "$T/list"
for name in v1 v2 shrinkwrap says2 tabs crlf bom nonl oneline four others linked; do
	cp -r locked $name
done
cp -r ws wsv2
json old/p/package.json '{name: "p", version: "1.0.0", dependencies: {"@scope/leaf": ">=1", leaf: "^1.0.0"}}'
mv shrinkwrap/p/package-lock.json shrinkwrap/p/npm-shrinkwrap.json
echo lockfile-version=2 >says2/p/.npmrc
printf '%s\n' "$T/base/v1/p	install	--lockfile-version=1" "$T/base/v2/p	install	--lockfile-version=2" \
	"$T/base/wsv2/p	install	--lockfile-version=2" "$T/base/old/p	install" >"$T/list"
as_npm "$T/list"
same 'the locks to begin with' '=> 0' "$(cut -c-4 "$T/said" | sort -u)"
sed -i 's/$/\r/' crlf/p/package.json crlf/p/package-lock.json
truncate -s -1 nonl/p/package.json nonl/p/package-lock.json
sed -i '1s/^/\xef\xbb\xbf/' bom/p/package.json bom/p/package-lock.json
again() { # again FILE INDENT [EXPRESSION]
	node -e 'const fs = require("fs"), [f, indent, more] = process.argv.slice(1), j = JSON.parse(fs.readFileSync(f));
		eval(more || ""); fs.writeFileSync(f, JSON.stringify(j, null, indent) + (indent ? "\n" : ""))' "$@"
}
again tabs/p/package.json '	'
again tabs/p/package-lock.json '	'
again four/p/package.json '    '
again oneline/p/package.json ''
again others/p/package-lock.json '  ' 'j.zz = { a: 1 }; j.about = "it"'

mkdir linked/p/real
mv linked/p/package*.json linked/p/real
ln -s real/package.json real/package-lock.json linked/p

# --- npm, all of them; then dx, and what differs ---
rows=()
while read -r line; do rows+=("$line"); done < <(grep -v '^#' "$here/as_npm.data")
: >"$T/list"
for i in "${!rows[@]}"; do
	IFS=$'\t' read -r base folder words <<<"${rows[i]}"
	mkdir -p "$T/npm/$i" "$T/dx/$i"
	cp -a "$T/base/$base" "$T/npm/$i/top"
	cp -a "$T/base/$base" "$T/dx/$i/top"
	case $words in
	add*) words=install${words#add} ;;
	lock*) words=install${words#lock} ;;
	remove*) words=uninstall${words#remove} ;;
	esac
	printf '%s\t%s\n' "$T/npm/$i/top/$folder" "${words// /$'\t'}" >>"$T/list"
done
as_npm "$T/list"
same 'rows that npm ran' ${#rows[@]} "$(grep -c '^=> ' "$T/said")"
differ=0
for i in "${!rows[@]}"; do
	IFS=$'\t' read -r base folder words <<<"${rows[i]}"
	read -ra args <<<"$words"
	cd "$T/dx/$i/top/$folder"
	ours=0
	"$DXFS_BIN/dx" "${args[@]}" >"$T/dx/$i/said" 2>&1 || ours=1
	npms=$(sed -n "s|^=> \([01]\) $T/npm/$i/top/.*|\1|p" "$T/said")
	cd "$T/dx/$i"
	# Where there was no lock, dx makes its own.
	find . -name dx.lock | while read -r lock; do
		[ -e "${lock%dx.lock}package-lock.json" ] || [ -e "${lock%dx.lock}npm-shrinkwrap.json" ] ||
			dx lock export "$lock" >"${lock%dx.lock}package-lock.json"
		rm "$lock"
	done
	if [ "$ours" != "$npms" ]; then
		echo "${rows[i]}: npm ends with $npms, dx with $ours: $(head -3 "$T/dx/$i/said")"
		differ=$((differ + 1))
	elif ! diff -r --no-dereference "$T/npm/$i/top" top >"$T/differs"; then
		echo "${rows[i]}: not as npm:"
		head -20 "$T/differs"
		differ=$((differ + 1))
	fi
done
[ $differ -eq 0 ] || fail "$differ of ${#rows[@]} rows differ"
