#!/usr/bin/env bash
# The same project gives the same lock, byte for byte: dx.lock and package-lock.json, of dx lock, dx add
# and --dedupe, whoever asks, where, when, in which language, with what at hand, and in whatever order
# a registry answers.
. "$(dirname "$0")/lib.sh"
start_registry
seed=${SEED:-$$}
echo "SEED=$seed"
RANDOM=$seed
PROJECTS='aliases bundles workspaces nested'

# The locks of all projects, in the current folder.
make_locks() {
	local name
	for name in $PROJECTS; do
		cp -r "$T/from/$name" "$name"
		(
			set -e
			cd "$name"
			cp -r . "$OLDPWD/$name-added"
			cp -r . "$OLDPWD/$name-dedupe"
			rm -f package-lock.json npm-shrinkwrap.json
			"$DXFS_BIN/dx" lock
			cd "../$name-added" # npm's lock, where there is one, is changed with it
			"$DXFS_BIN/dx" add leaf@1 needs-leaf1
			cd "../$name-dedupe"
			rm -f package-lock.json npm-shrinkwrap.json
			"$DXFS_BIN/dx" lock --dedupe
		) >>said 2>&1 || { tail -5 said; return 1; }
	done
}
export -f make_locks
export PROJECTS T DXFS_BIN

# as WHAT COMMAND...: makes all in a folder of its own, by the command; it must be what was first.
first=
as() {
	local dir="$T/as/$1" what=$1
	shift
	mkdir -p "$dir"
	chmod 777 "$dir"
	(cd "$dir" && "$@" bash -c make_locks) || fail "$what: $(tail -3 "$dir/said")"
	(cd "$dir" && find . \( -name dx.lock -o -name package-lock.json -o -name package.json \) ! -path '*/node_modules/*' -exec sha256sum {} + | sort -k2) >"$dir.sums"
	first=${first:-$dir.sums}
	[ "$(wc -l <"$dir.sums")" -ge 30 ] || fail "$what: only $(wc -l <"$dir.sums") files"
	diff "$first" "$dir.sums" || fail "$what: another lock than at first"
	echo "$what: $(grep -c dx.lock "$dir.sums") dx.lock, $(grep -c package-lock.json "$dir.sums") package-lock.json"
}

mkdir -p "$T/from"
for name in $PROJECTS; do
	project "$name"
	mv "$T/$name" "$T/from/$name"
done
cd "$T"
in_a_hurry() { # answers in another order each time
	no_faults
	local name
	for name in leaf loader needs-leaf1 needs-leaf2 cycle-a cycle-b bundl peer alias scope; do
		fault "kind=delay&match=$name&ms=$((RANDOM % 40 + 1))"
	done
}

as first env
as again env
as "another time zone" env TZ=Pacific/Kiritimati
as "another language" env LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8
as "no language" env -u LANG LC_ALL=C
mkdir -p "$T/home2" "$T/home3"
as "another home, an empty store" env HOME="$T/home2" DX_STORE="$T/home2/store" XDG_CACHE_HOME="$T/home2/cache" XDG_STATE_HOME="$T/home2/state" XDG_DATA_HOME="$T/home2/data"
as "another umask" bash -c 'umask 077; exec "$@"' -- env
as "one processor" taskset -c "$(taskset -cp $$ | sed 's/.*[:, -]//')" env
for i in 1 2; do
	in_a_hurry
	as "answers in another order, $i" env DX_STORE="$T/store$i"
done
no_faults
as "a long way down/with blanks/and/more" env
if [ "$(id -u)" = 0 ]; then
	chmod 711 "$T/.." "$T" "$T/as"
	chmod -R a+rX "$T/from"
	chmod 777 "$T/home3"
	other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
else
	other=(unshare -r)
fi
if "${other[@]}" test -x "$DXFS_BIN/dx" -a -w "$T/home3"; then
	as "another user" "${other[@]}" env HOME="$T/home3" DX_STORE="$T/home3/store" XDG_CACHE_HOME="$T/home3/cache" XDG_STATE_HOME="$T/home3/state" XDG_DATA_HOME="$T/home3/data"
else
	echo "another user: ${other[*]} cannot reach dx or the test's folder here"
fi
