#!/usr/bin/env bash
# The registry falls silent for ten seconds in the middle of a dx fetch: it takes connections and
# requests and says nothing. It goes on.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_many.sh"
export npm_config_fetch_timeout=4000 npm_config_fetch_retry_maxtimeout=1000
many 150
begin_fetch 'kind=hang&skip=60'
kill -STOP "$REG_PID"
before=$(blobs)
ten_seconds
[ "$(blobs)" -lt "$(grep -c '"integrity"' package-lock.json)" ] || fail "it was over before the registry was silent"
kill -CONT "$REG_PID"
no_faults
end_fetch "the registry was silent for ten seconds"
echo "$before packages of $(field packages) before, all after $(field seconds) s"
