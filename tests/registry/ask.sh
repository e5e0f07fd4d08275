# ask.sh - for what asks a real registry: sourced by all of this folder that do, first of all. Ends the
# caller with status 77 where npm or a registry is not there; npm and dx shall bear with one that
# fails for a while, and say nothing of newer npms. Defines skip REASON.
# shellcheck shell=sh
skip() {
	echo "SKIP: $1"
	exit 77
}

command -v npm >/dev/null || skip "npm is not installed"
export npm_config_fetch_retries=5 npm_config_fetch_retry_mintimeout=1000 npm_config_fetch_retry_maxtimeout=10000
export npm_config_update_notifier=false
timeout 60 npm view express name >/dev/null 2>&1 || skip "no registry answers that has express"
