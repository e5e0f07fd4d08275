#!/usr/bin/env bash
# The registry is gone for ten seconds in the middle of a dx fetch: nothing listens, and connections
# break. It goes on.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_many.sh"
port=$(fixed_port)
many 150 --port "$port"
begin_fetch 'kind=hang&skip=60'
stop_registry
before=$(blobs)
ten_seconds
[ "$(blobs)" -lt "$(grep -c '"integrity"' package-lock.json)" ] || fail "it was over before the registry was gone"
start_registry --port "$port"
end_fetch "the registry was gone for ten seconds"
echo "$before packages of $(field packages) before, all after $(field seconds) s"
