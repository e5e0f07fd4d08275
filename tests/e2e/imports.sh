#!/usr/bin/env bash
# dx lock in a project that has only a yarn.lock or bun.lock: what is kept to, from where it comes,
# and what is refused.
. "$(dirname "$0")/lib.sh"

start_registry

version() { # of leaf in the lock
	dx lock export | node -e '
		const l = JSON.parse(require("fs").readFileSync(0, "utf8")).packages["node_modules/leaf"];
		console.log(l.version, l.resolved, l.integrity)'
}
yarn() { # yarn RESOLVED INTEGRITY
	printf '# yarn lockfile v1\n\n\n"leaf@^1.0.0", leaf@1:\n  version "1.0.0"\n  resolved "%s"\n%s\n' "$1" "${2:+  integrity $2}" >yarn.lock
	rm -f dx.lock
}
begin() {
	mkdir -p "$T/$1"
	cd "$T/$1"
	echo '{"name":"p","version":"1.0.0","dependencies":{"leaf":"^1.0.0"}}' >package.json
}

begin p
dx lock
case $(version) in 1.1.0*) ;; *) fail "without: $(version)" ;; esac
newest=$(version | cut -d' ' -f3)
sed -i 's/\^1.0.0/1.0.0/' package.json
dx lock
there=$(version)
sha512=${there##* }
there=${there% *}
sed -i 's/"1.0.0"}/"^1.0.0"}/' package.json

# --- yarn.lock: from the registry by name ---
yarn "$REG/leaf/-/leaf-1.0.0.tgz#0123456789012345678901234567890123456789"
dx lock 2>err
same 'pinned' "$there $sha512" "$(version)"
grep -q 'keeping to the versions of yarn.lock (2 demands)' err || fail 'it is said'
yarn "http://other.test/leaf/-/leaf-1.0.0.tgz#01" "$sha512"
dx lock
same 'another registry, the same bytes' "$there $sha512" "$(version)"
yarn "$REG/leaf/-/leaf-1.0.0.tgz" "$newest"
fails 1 "$DXFS_BIN/dx" lock
grep -q EINTEGRITY "$T/out" || fail 'other bytes than the registry has are refused'
[ ! -e dx.lock ] || fail 'nothing is written'
# A dx.lock decides alone, unless another is named.
yarn "$REG/leaf/-/leaf-1.0.0.tgz" "$sha512"
mv yarn.lock other
dx lock
case $(version) in 1.1.0*) ;; *) fail 'newest' ;; esac
mv other yarn.lock
dx lock
case $(version) in 1.1.0*) ;; *) fail 'the lock that is there' ;; esac
dx lock --from yarn.lock
same 'from' "$there $sha512" "$(version)"
dx lock --update
case $(version) in 1.1.0*) ;; *) fail 'update keeps to nothing' ;; esac
fails 2 "$DXFS_BIN/dx" lock --from yarn.lock --update
fails 2 "$DXFS_BIN/dx" lock --from yarn.lock show
fails 1 "$DXFS_BIN/dx" lock --from nowhere

# --- from an address ---
yarn "$REG_OTHER/leaf/-/leaf-1.0.0.tgz"
dx lock
same 'another host, no digest' "1.0.0 $REG_OTHER/leaf/-/leaf-1.0.0.tgz $sha512" "$(version)"
yarn "$REG_OTHER/leaf/-/leaf-1.0.0.tgz" "$newest"
fails 1 "$DXFS_BIN/dx" lock
grep -q 'not the one that the lock names' "$T/out" || fail "bytes of the address: $(cat "$T/out")"

# --- what does not fit, what cannot be read ---
yarn "$REG/leaf/-/leaf-1.0.0.tgz" "$sha512"
sed -i 's/"1.0.0"$/"0.1.0"/' yarn.lock
dx lock 2>err
grep -q 'pins leaf@^1.0.0 to 0.1.0, which does not fit' err || fail 'a version that does not fit is said'
case $(version) in 1.1.0*) ;; *) fail 'and not taken' ;; esac
rm dx.lock
printf 'nonsense\n' >yarn.lock
fails 1 "$DXFS_BIN/dx" lock
grep -q 'yarn.lock: line 1: ' "$T/out" || fail 'a broken one is refused with its line'
printf '# x\n\n__metadata:\n  version: 8\n' >yarn.lock
dx lock 2>err
grep -q 'yarn 2' err || fail 'yarn 2: said'
case $(version) in 1.1.0*) ;; *) fail 'yarn 2: not kept to' ;; esac
fails 1 "$DXFS_BIN/dx" lock --from yarn.lock
not_read() { # not_read FILE WORDS: it is said, and package.json alone counts
	rm -f dx.lock yarn.lock
	dx lock 2>err
	grep -q "^$1: .*$2.*; its versions are not kept to" err || fail "$1: $(cat err)"
	case $(version) in 1.1.0*) ;; *) fail "$1: not kept to" ;; esac
	rm "$1"
}
echo "lockfileVersion: '9.0'" >pnpm-lock.yaml
not_read pnpm-lock.yaml 'not read'
printf '#!/usr/bin/env bun\nbun-lockfile-format-v0\n\0\1' >bun.lockb
not_read bun.lockb 'bun.*--save-text-lockfile'

# --- bun.lock ---
begin bun
printf '{ "lockfileVersion": 1, "workspaces": { "": { "dependencies": { "leaf": "^1.0.0", }, }, },\n"packages": { "leaf": ["leaf@1.0.0", "", {}, "%s"], }, }\n' "$sha512" >bun.lock
dx lock 2>err
same 'bun' "$there $sha512" "$(version)"
grep -q 'keeping to the versions of bun.lock (1 demand)' err || fail 'it is said'
rm dx.lock
sed -i "s|$sha512|$newest|" bun.lock
fails 1 "$DXFS_BIN/dx" lock
