# env.sh - leaves of the environment only what tests may depend on, so that they say the same whoever
# calls them: a terminal, a CI service, a git hook, another test. Sourced by what runs tests, first thing.
#
# Kept are where and who one is, how a network is reached, and what tests say that they read. Messages
# are in English, sorted by bytes, times are UTC, and files are made as by most people (umask 022).
# shellcheck shell=sh
for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z_0-9]*\)=.*/\1/p'); do
	case $name in
	HOME | PATH | PWD | OLDPWD | SHLVL | USER | LOGNAME | SHELL | TERM | TMPDIR | CCACHE_* | LD_LIBRARY_PATH) ;;
	SSL_CERT_* | CURL_CA_BUNDLE | NODE_EXTRA_CA_CERTS | GIT_SSL_CAINFO) ;;
	http_proxy | https_proxy | no_proxy | all_proxy | HTTP_PROXY | HTTPS_PROXY | NO_PROXY | ALL_PROXY) ;;
	npm_config_registry | npm_config_userconfig | npm_config_globalconfig | npm_config_cache | npm_config_ca | npm_config_cafile) ;;
	npm_config_proxy | npm_config_https_proxy | npm_config_noproxy | npm_config_strict_ssl | npm_config__*) ;;
	DXFS_BIN | DXFS_RUN | TEST_REGISTRY | TREECMP | OPFUZZ | POSIX | LIVE | FIXTURES | E2E_TESTS | JOBS | TEST_TIMEOUT | WHOLE_LIMIT) ;;
	NGINX | FAULTS_* | ORACLE_* | RESOLVE_* | PROJECTS_* | SEED | SEQUENCES | KILLS | SWITCHES) ;;
	CONTAINERS | CONTAINERS_USER | CONTAINERS_CONF | PODMAN | *SAN_OPTIONS) ;;
	*) unset "$name" ;;
	esac
done
unset name

# loopback_only: forgets the network too, for tests that ask no registry but their own.
loopback_only() {
	for name in $(env | sed -n 's/^\(npm_[A-Za-z_0-9]*\|[A-Za-z]*_proxy\|[A-Za-z]*_PROXY\)=.*/\1/p'); do
		unset "$name"
	done
	unset name
}

export LC_ALL=C.UTF-8 TZ=UTC
umask 022
