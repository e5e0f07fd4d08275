#!/usr/bin/env bash
# A token goes to the registry that it is for, and over no redirect to another.
. "$(dirname "$0")/lib.sh"
start_registry
project cycles
fault 'match=/leaf/&kind=auth&value=Bearer%20s3cret'
mount_it --prefetch=none
fails 1 cat node_modules/leaf/index.js
unmount_it
echo "${REG#http:}/:_authToken=\${TOKEN}" >.npmrc
export TOKEN=s3cret
mount_it --prefetch=none
until_true 40 cat node_modules/leaf/index.js
same "with the token" "leaf@1.1.0" "$(node -p 'require("leaf")')"
! find "$T/state" -type f -exec grep -l s3cret {} + || fail "the token is written down"

fault 'match=needs-leaf1&kind=redirect&to=other'
forget_requests
cat node_modules/needs-leaf1/index.js >/dev/null
same "asked elsewhere" 1 "$(requests 'needs-leaf1.* port=other')"
same "told elsewhere" 0 "$(requests 'auth=1 port=other')"
fault 'match=loader&kind=redirect&to=same'
cat node_modules/loader/main.js >/dev/null
same "redirect on the same host" 1 "$(requests '/-/via/loader.* 200 ')"
