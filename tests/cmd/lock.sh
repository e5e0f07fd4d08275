#!/bin/sh
# dx lock, ls and why on a small project: what they print, what they write, how they fail.
# usage: lock.sh DX
set -eu
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/env.sh"
loopback_only
dx=$(realpath "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir" npm_config_registry=http://registry.test/
mkdir -p "$dir/p/ws/w"
cd "$dir/p"
failed=0

fail() {
	echo "FAIL: $1" >&2
	failed=1
}
same() { # same WHAT EXPECTED-FILE GOT-FILE
	if ! diff -u "$2" "$3" >&2; then fail "$1"; fi
}
exits() { # exits STATUS COMMAND...; output in out, err
	want=$1
	shift
	got=0
	"$@" >"$dir/out" 2>"$dir/err" || got=$?
	[ "$got" = "$want" ] || { cat "$dir/out" "$dir/err" >&2; fail "$* ended with $got, not $want"; }
}
says() { # says TEXT: in err
	grep -qF -- "$1" "$dir/err" || { cat "$dir/err" >&2; fail "no word of: $1"; }
}

# --- without a project, without a lock ---
exits 1 "$dx" lock
says 'no project'
exits 2 "$dx" lock nonsense
exits 2 "$dx" nonsense
says 'dx --help'
for word in install i ci; do
	exits 2 "$dx" $word --no-such-option leaf
	says 'dxfs mount ./node_modules'
	says 'dx add PACKAGE'
	[ "$(wc -l <"$dir/err")" = 1 ] || fail "dx $word: more than a line"
done
exits 2 "$dx" run test
says 'npm run'
exits 2 "$dx" help exec
says 'npx'
exits 2 "$dx" mount ./node_modules
says 'dxfs mount'
exits 0 "$dx" --help
! grep -q '^ *install' "$dir/out" || fail "--help lists what is no command"
exits 2 "$dx" lock show a b
exits 2 "$dx" lock --check show
exits 2 "$dx" ls extra
exits 2 "$dx" why
exits 0 "$dx" lock --help
exits 0 "$dx" ls --help
exits 0 "$dx" why --help

cat >package.json <<'JSON'
{
  "name": "p",
  "version": "1.0.0",
  "workspaces": [
    "ws/*"
  ],
  "dependencies": {
    "a": "^1.0.0",
    "alias": "npm:real@1"
  },
  "devDependencies": {
    "d": "*"
  },
  "optionalDependencies": {
    "gone": "^3.0.0"
  }
}
JSON
echo '{"name":"w","version":"0.1.0","dependencies":{"b":"^2.0.0"}}' >ws/w/package.json
export npm_config_offline=true
exits 1 "$dx" lock
says 'offline'
[ ! -e dx.lock ] || fail 'a lock that cannot be made is not written'
exits 1 "$dx" lock --check
says 'dx lock'
exits 1 "$dx" ls

# --- making ---
cat >package-lock.json <<'JSON'
{
  "name": "p",
  "version": "1.0.0",
  "lockfileVersion": 3,
  "requires": true,
  "packages": {
    "": {
      "name": "p",
      "version": "1.0.0",
      "workspaces": [
        "ws/*"
      ],
      "dependencies": {
        "a": "^1.0.0",
        "alias": "npm:real@1"
      },
      "devDependencies": {
        "d": "*"
      },
      "optionalDependencies": {
        "gone": "^3.0.0"
      }
    },
    "node_modules/a": {
      "version": "1.2.0",
      "integrity": "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
      "license": "MIT",
      "dependencies": {
        "b": "^1.0.0"
      },
      "bin": {
        "a": "cli.js"
      }
    },
    "node_modules/alias": {
      "name": "real",
      "version": "1.0.0"
    },
    "node_modules/b": {
      "version": "1.0.0"
    },
    "node_modules/d": {
      "version": "4.0.0",
      "dev": true,
      "os": [
        "linux"
      ],
      "peerDependencies": {
        "a": "1"
      }
    },
    "node_modules/gone": {
      "version": "3.1.0",
      "optional": true
    },
    "node_modules/w": {
      "resolved": "ws/w",
      "link": true
    },
    "ws/w": {
      "version": "0.1.0",
      "dependencies": {
        "b": "^2.0.0"
      }
    },
    "ws/w/node_modules/b": {
      "version": "2.0.0"
    }
  }
}
JSON
exits 0 "$dx" lock --check
grep -q 'there is no dx.lock' "$dir/out" || fail 'check says that there is no dx.lock'
exits 0 "$dx" lock
grep -q '^dx.lock: 6 packages at 6 places, 1 link,' "$dir/out" || { cat "$dir/out" >&2; fail summary; }
[ "$(head -c 3 dx.lock)" = DXL ] || fail 'dx.lock is a DXL'
cp dx.lock "$dir/first"
exits 0 "$dx" lock
cmp -s dx.lock "$dir/first" || fail 'the same inputs give the same bytes'
exits 0 "$dx" lock --check
grep -q 'dx.lock is fresh' "$dir/out" || fail 'check says fresh'

# --- export, show ---
for file in '' dx.lock; do
	exits 0 "$dx" lock export $file
	same "export $file" package-lock.json "$dir/out"
done
cat >"$dir/show" <<'TEXT'
lock of p 1.0.0, package-lock version 3

. 1.0.0
  name "p"
  version "1.0.0"
  workspaces ["ws/*"]
  dependencies {"a":"^1.0.0","alias":"npm:real@1"}
  devDependencies {"d":"*"}
  optionalDependencies {"gone":"^3.0.0"}

node_modules/a 1.2.0
  integrity sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=
  needs b ^1.0.0
  bin a cli.js
  license "MIT"

node_modules/alias = real 1.0.0

node_modules/b 1.0.0

node_modules/d 4.0.0 dev
  needs-peer a 1
  os linux

node_modules/gone 3.1.0 optional

node_modules/w link
  resolved ws/w

ws/w 0.1.0 workspace
  version "0.1.0"
  dependencies {"b":"^2.0.0"}

ws/w/node_modules/b 2.0.0
TEXT
for file in '' dx.lock; do
	exits 0 "$dx" lock show $file
	same "show $file" "$dir/show" "$dir/out"
done

# --- ls, as npm ls --package-lock-only prints it ---
cat >"$dir/ls" <<TEXT
p@1.0.0 $(pwd -P)
├── a@1.2.0
├── alias@npm:real@1.0.0
├── d@4.0.0
├── gone@3.1.0
└─┬ w@0.1.0 -> ./ws/w
  └── b@2.0.0
TEXT
exits 0 "$dx" ls
same ls "$dir/ls" "$dir/out"
cat >"$dir/ls" <<TEXT
p@1.0.0 $(pwd -P)
+-- a@1.2.0
| \`-- b@1.0.0
+-- alias@npm:real@1.0.0
+-- d@4.0.0
| \`-- a@1.2.0 deduped
+-- gone@3.1.0
\`-- w@0.1.0 -> ./ws/w
  \`-- b@2.0.0
TEXT
export LC_ALL=C
exits 0 "$dx" ls --all
same 'ls --all' "$dir/ls" "$dir/out"
export LC_ALL=C.UTF-8
cat >"$dir/ls" <<TEXT
{
  "version": "1.0.0",
  "name": "p",
  "dependencies": {
    "a": {
      "version": "1.2.0",
      "overridden": false
    },
    "alias": {
      "version": "1.0.0",
      "overridden": false
    },
    "d": {
      "version": "4.0.0",
      "overridden": false
    },
    "gone": {
      "version": "3.1.0",
      "overridden": false
    },
    "w": {
      "version": "0.1.0",
      "resolved": "file:../ws/w",
      "overridden": false,
      "dependencies": {
        "b": {
          "version": "2.0.0",
          "overridden": false
        }
      }
    }
  }
}
TEXT
exits 0 "$dx" ls --json
same 'ls --json' "$dir/ls" "$dir/out"

# --- why ---
cat >"$dir/why" <<'TEXT'
b@1.0.0
node_modules/b
  b@"^1.0.0" from a@1.2.0
  node_modules/a
    a@"^1.0.0" from the root project
    peer a@"1" from d@4.0.0
    node_modules/d
      dev d@"*" from the root project

b@2.0.0
ws/w/node_modules/b
  b@"^2.0.0" from w@0.1.0
  ws/w
    w@0.1.0
    node_modules/w
      workspace ws/w from the root project
TEXT
exits 0 "$dx" why b
same 'why b' "$dir/why" "$dir/out"
exits 0 "$dx" why b@2
[ "$(head -1 "$dir/out")" = b@2.0.0 ] || fail 'why name@range'
exits 0 "$dx" why node_modules/d
[ "$(head -1 "$dir/out")" = 'd@4.0.0 dev' ] || fail 'why place'
exits 1 "$dx" why nothing
says 'no package nothing'

# --- what does not fit ---
sed 's/"\^1.0.0"/"^7.0.0"/' package.json >"$dir/new"
mv "$dir/new" package.json
exits 1 "$dx" lock --check
says 'a@'
exits 1 "$dx" lock
says 'offline'
cmp -s dx.lock "$dir/first" || fail 'a lock that does not fit leaves dx.lock alone'
exits 1 "$dx" ls
says 'invalid: a@1.2.0'
grep -q 'a@1.2.0 invalid: "^7.0.0" from the root project' "$dir/out" || fail 'ls shows what is invalid'
sed 's/"^7.0.0"/"^1.0.0"/' package.json >"$dir/new"
mv "$dir/new" package.json
exits 0 "$dx" lock --check
echo >>package-lock.json
exits 1 "$dx" lock --check
says 'dx lock'

# --- dx.lock alone ---
rm package-lock.json
exits 0 "$dx" lock --check
exits 0 "$dx" ls
exits 0 "$dx" lock
exits 0 "$dx" lock --check
"$dx" lock export >"$dir/again"
exits 0 "$dx" lock
"$dx" lock export >"$dir/out"
same 'a lock that holds stays' "$dir/again" "$dir/out"
printf x | dd of=dx.lock bs=1 seek=300 conv=notrunc 2>/dev/null
exits 1 "$dx" lock --check
says 'checksum'
exits 1 "$dx" lock show dx.lock

# --- diff and merge, as git's drivers ---
mkdir "$dir/m"
cd "$dir/m"
lock() { # lock FILE A B...: a lock of packages a, b and more at these versions
	file=$1
	shift
	{
		printf '{"name":"m","lockfileVersion":3,"requires":true,"packages":{"":{"name":"m","dependencies":{"x":"1"}}'
		for v; do printf ',"node_modules/%s":{"version":"%s"}' "${v%=*}" "${v#*=}"; done
		echo '}}'
	} >"$file"
}
lock base a=1.0.0 b=1.0.0 c=1.0.0
lock ours a=2.0.0 b=1.0.0 c=1.0.0
lock theirs a=1.0.0 c=1.0.0 d=1.0.0
lock other a=3.0.0 b=1.0.0 c=1.0.0
exits 0 "$dx" lock diff base ours
printf '  a 1.0.0 -> 2.0.0\n' >"$dir/want"
same diff "$dir/want" "$dir/out"
exits 0 "$dx" lock diff ours theirs
printf '  a 2.0.0 -> 1.0.0\n- b 1.0.0\n+ d 1.0.0\n' >"$dir/want"
same 'diff of more' "$dir/want" "$dir/out"
exits 0 "$dx" lock diff base base
[ ! -s "$dir/out" ] || fail 'no difference prints nothing'
cp ours mine
exits 0 "$dx" lock merge base mine theirs
lock want a=2.0.0 c=1.0.0 d=1.0.0
exits 0 "$dx" lock diff want mine
[ ! -s "$dir/out" ] || { cat "$dir/out" >&2; fail 'the merge has both changes'; }
cp ours mine
exits 1 "$dx" lock merge base mine other
says 'a 1.0.0 -> 2.0.0'
says 'a 1.0.0 -> 3.0.0'
cmp -s ours mine || fail 'a merge that conflicts writes nothing'
: >empty
exits 0 "$dx" lock diff empty base
[ "$(wc -l <"$dir/out")" = 4 ] || fail 'all is new beside an empty file'
exits 1 "$dx" lock merge base empty theirs
exits 2 "$dx" lock diff base
exits 2 "$dx" lock merge base ours
# --- other people's names move no cursor and begin no line ---
mkdir -p "$dir/q"
cd "$dir/q"
cat >package.json <<'EOT'
{"name":"q","dependencies":{"a":"*"}}
EOT
cat >package-lock.json <<'EOT'
{"name":"q","lockfileVersion":3,"packages":{"":{"name":"q","dependencies":{"a":"*"}},
"node_modules/a":{"version":"1.0.0","resolved":"http://registry.test/a.tgz\u001b[1A\nnode_modules/b 2.0.0",
"peerDependencies":{"\u001b]0;x\u0007":"1\u009b2J"},
"peerDependenciesMeta":{"\u001b]0;x\u0007":{"optional":true}}}}}
EOT
for c in 'lock show' 'ls --all' 'why a'; do
	# shellcheck disable=SC2086 # words of a command
	"$dx" $c >"$dir/out" 2>"$dir/err" || true
	[ -s "$dir/out" ] || fail "dx $c printed nothing"
	if LC_ALL=C grep -q "$(printf '[\001-\010\013-\037\177]')" "$dir/out" "$dir/err"; then
		fail "dx $c printed control characters"
	fi
	if grep -q '^node_modules/b' "$dir/out"; then fail "dx $c let a URL begin a line"; fi
done

exit $failed
