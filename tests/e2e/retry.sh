#!/usr/bin/env bash
# What passes by itself is tried again, without the reader noticing.
. "$(dirname "$0")/lib.sh"
start_registry
project cycles
export npm_config_fetch_retries=3 npm_config_fetch_retry_mintimeout=100 npm_config_fetch_retry_maxtimeout=500
for bad in kind=status\&code=500 kind=status\&code=429\&retry_after=1 kind=reset kind=cut\&bytes=40; do
	rm -rf "$T/store"
	mount_it --prefetch=none
	fault "match=leaf-1.1.0&count=2&$bad"
	same "$bad" "leaf@1.1.0" "$(node -p 'require("leaf")')"
	same "$bad: failed packages" 0 "$(status s.packages.failed)"
	unmount_it
	no_faults
done
