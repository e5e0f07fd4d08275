#!/usr/bin/env bash
# dx store gc: whose packages stay, for how long, and what --older-than says; a mount that lives keeps
# its packages whatever is said.
. "$(dirname "$0")/lib.sh"
start_registry
blobs() { find "$T/store" -name '*.dxp' | wc -l; }
# Everything came forty days ago, and has not been used since; the projects were fetched five days ago.
age() {
	find "$T/store" -name '*.dxp' -exec touch -d '40 days ago' {} +
	touch -d '5 days ago' "$T"/store/roots/*
	rm "$T/store/index"
}

project cycles
dx fetch >/dev/null
mine=$(blobs)
project containers
dx fetch >/dev/null
all=$(blobs)
[ "$all" -gt "$mine" ] || fail "the second project has nothing of its own"
cd "$T/cycles"
age
mount_it --offline --read-only
dx store gc >/dev/null
fails 1 "$DXFS_BIN/dx" store stats --store="$T/none"
[ ! -e "$T/none" ] || fail 'a store that was mistyped is made'
fails 2 "$DXFS_BIN/dx" store gcc
grep -q 'nothing that is called gcc' "$T/out" || fail "$(cat "$T/out")"
same "projects of the last 30 days keep theirs" "$all" "$(blobs)"
dx store gc --older-than=3 --dry-run >"$T/out"
same "would remove" $((all - mine)) "$(grep -c '^would remove .*@.* ([0-9]* bytes)$' "$T/out")"
same "said" "$mine kept, $((all - mine)) would go" "$(sed -n 's/^\([0-9]* kept, [0-9]* would go\), .*/\1/p' "$T/out")"
same "nothing is removed by --dry-run" "$all" "$(blobs)"
dx store gc --older-than=3 --json >"$T/out"
same "removed" "$mine $((all - mine)) false" "$(node -p 'const r = JSON.parse(require("fs").readFileSync(0)); `${r.kept} ${r.removed} ${r.dry_run}`' <"$T/out")"
same "what is mounted stays" "$mine" "$(blobs)"
walk
unmount_it

# What came just now stays although nobody needs it; a project that is gone is forgotten.
cd "$T/containers"
dx fetch >/dev/null
rm -rf "$T/containers"
cd "$T/cycles"
dx store gc --older-than=0 >/dev/null
same "what came today stays" "$all" "$(blobs)"
age 2>/dev/null || true
dx store gc --older-than=0d >/dev/null
same "afterwards" 0 "$(blobs)"
dx store verify >"$T/out" || fail "$(cat "$T/out")"

for wrong in --older-than=x --older-than=-1 --older-than= --older-than=99999999; do
	fails 2 dx store gc "$wrong"
done
