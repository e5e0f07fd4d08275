#!/usr/bin/env bash
# What dx lock, add and merge are given that cannot be: one sentence that says what is wrong and of
# what, exit status 1, and no byte of the project is another afterwards.
. "$(dirname "$0")/lib.sh"
start_registry

files() { find . -type f ! -name merged -exec sha256sum {} + | sort -k2; }
# refused WORDS COMMAND...: by one line that has the words (a regular expression)
refused() {
	local words=$1 before
	shift
	before=$(files)
	fails 1 "$@"
	grep '^dx [a-z]*: ' "$T/out" >"$T/said" || fail "'$words': no sentence: $(cat "$T/out")"
	same "sentences of '$words'" 1 "$(wc -l <"$T/said")"
	grep -qE -- "$words" "$T/said" || fail "no '$words' in: $(cat "$T/said")"
	! grep -qiE 'assert|errno|\(null\)|0x' "$T/out" || fail "not for people: $(cat "$T/out")"
	same "the project, after '$words'" "$before" "$(files)"
	cat "$T/said"
}

# asks MANIFEST WORDS: with either kind of lock, and with none.
asks() {
	local kind
	for kind in ours npms none; do
		mkdir -p "$T/$kind"
		cd "$T/$kind"
		if [ ! -e package.json ] && [ $kind != none ]; then
			echo '{"name":"p","version":"1.0.0","dependencies":{"leaf":"1"}}' >package.json
			dx lock >/dev/null
			if [ $kind = npms ]; then
				dx lock export dx.lock >package-lock.json
				rm dx.lock
				dx lock >/dev/null
			fi
		fi
		printf '%s\n' "$1" >package.json
		refused "$2" "$DXFS_BIN/dx" lock
	done
}

asks '{"name":"p","dependencies":{"no-such-package":"1"}}' 'no-such-package: the registry does not have it'
asks '{"name":"p","dependencies":{"leaf":"^77"}}' 'leaf: the registry has no version that fits "\^77"'
asks '{"name":"p","dependencies":{"LEAF/../x":"1"}}' 'no package can have such a name: LEAF/../x'
asks '{"name":"p","dependencies":{"leaf":1}}' 'package.json: the dependency "leaf" has no string'
asks '{"name":"p","dependencies":{"peered":"1","leaf":"2"}}' 'ERESOLVE.*peered@1.0.0 asks for the peer leaf@"\^1.0.0"'
asks '[1,2]' 'package.json: its JSON is no object'

# A syntax error is where an editor goes to: the first character that cannot stand there.
asks $'{\n  "name": "p",\n  "dependencies": {\n    "leaf": "1",\n  }\n}' 'package.json: not valid JSON: line 5, column 3'
asks $'{\n  "name": "p"\n  "dependencies": {}\n}' 'package.json: not valid JSON: line 3, column 3'
asks $'{\n<<<<<<< HEAD\n  "name": "p"\n=======\n  "name": "q"\n>>>>>>> b\n}' 'package.json: not valid JSON: a merge conflict stands in it, from line 2 on; resolve it first'
asks $'{\n  name: "p"\n}' 'package.json: not valid JSON: line 2, column 3'
asks '{ "name": "p", "dependencies": {' 'package.json: not valid JSON: line 1, column'
asks '' 'package.json: not valid JSON: line'

# A registry that refuses, fails, or says what is no packument.
answers() { # answers FAULT WORDS
	fault "match=leaf&$1"
	rm -rf "$DX_STORE/metadata"
	asks '{"name":"p","dependencies":{"leaf":"^2.0.0"}}' "$2"
	no_faults
	rm -rf "$DX_STORE/metadata"
}
answers 'kind=status&code=401' "$REG/leaf: 401, no credentials"
answers 'kind=status&code=403' "$REG/leaf: 403, "
answers 'kind=status&code=404' 'leaf: the registry does not have it'
answers 'kind=status&code=500' "$REG/leaf: the server answered 500"
answers 'kind=garbage' "leaf: what $REG/leaf answered is not valid JSON"
answers 'kind=type&value=text/html&body=login' "leaf: what $REG/leaf answered is not valid JSON"
answers 'kind=type&value=application/json&body=%7B%22versions%22%3A' "leaf: what $REG/leaf answered is not valid JSON"
answers 'kind=type&value=application/json&body=%7B%22versions%22%3A%5B1%5D%7D' 'leaf: '
answers 'kind=reset' "$REG/leaf: "

# dx add, with what it cannot have.
cd "$T/ours"
echo '{"name":"p","version":"1.0.0","dependencies":{"leaf":"1"}}' >package.json
dx lock >/dev/null
refused 'no-such-package: the registry does not have it' "$DXFS_BIN/dx" add no-such-package
refused 'no version that fits "77"' "$DXFS_BIN/dx" add leaf@77
printf '{ "name": \n' >package.json
refused 'not valid JSON: line' "$DXFS_BIN/dx" add leaf

# Peers that ask for one another are no error.
mkdir "$T/peers"
cd "$T/peers"
echo '{"name":"p","dependencies":{"cycle-a":"1"}}' >package.json
dx lock >/dev/null || fail "a cycle is refused"

# A merge of what both sides changed: the lock is left for a person, who hears which packages.
mkdir "$T/merge"
cd "$T/merge"
for side in base ours theirs; do
	case $side in base) range=1.0.0 ;; ours) range=1.1.0 ;; theirs) range=2.0.0 ;; esac
	echo "{\"name\":\"p\",\"version\":\"1.0.0\",\"dependencies\":{\"leaf\":\"$range\"}}" >package.json
	rm -f dx.lock
	dx lock >/dev/null
	dx lock export dx.lock >$side.json
	mv dx.lock $side.lock
done
rm package.json
cp ours.lock dx.lock
for kind in lock json; do
	refused 'both sides changed the same packages, so ours stays as it is' "$DXFS_BIN/dx" lock merge base.$kind ours.$kind theirs.$kind
	grep -q leaf "$T/out" || fail "which packages: $(cat "$T/out")"
done
