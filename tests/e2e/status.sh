#!/usr/bin/env bash
# dxfs status --json is what the manual says.
. "$(dirname "$0")/lib.sh"
start_registry
project nested
mount_it --prefetch=all
same "keys" "[]" "$(status '["mountpoint", "pid", "lock", "store", "upper", "packages", "offline_safe", "bytes_fetched", "messages", "rss_kb", "prediction", "generation", "errors"].filter((k) => !(k in s))')"
same "mountpoint" "$PWD/node_modules" "$(status s.mountpoint)"
same "store" "$T/store" "$(status s.store)"
same "daemon" true "$(status "require('fs').readFileSync('/proc/' + s.pid + '/comm', 'utf8').trim() === 'dxfs'")"
same "packages" '{"total":6,"local":6,"fetching":0,"failed":0}' "$(status s.packages)"
same "types" true "$(status 's.bytes_fetched > 0 && s.rss_kb > 0 && s.generation === 0 && Array.isArray(s.errors)')"
before=$(messages)
cat node_modules/leaf/README.md >/dev/null
[ "$(messages)" -gt "$before" ] || fail "a first read sent no message: are they counted?"
same "of all mounts" 1 "$(dxfs status --json | node -p 'JSON.parse(require("fs").readFileSync(0)).length')"
dxfs status ./node_modules | sees . || fail "nothing for people"
fails 1 dxfs status "$T/nowhere"
unmount_it
same "of none" 0 "$(dxfs status --json | node -p 'JSON.parse(require("fs").readFileSync(0)).length')"
