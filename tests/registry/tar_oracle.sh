#!/bin/sh
# tar_oracle.sh UNPACK_TARBALL [COUNT [SEED]]: ingest against npm's own extraction; needs npm, no network.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/env.sh"
loopback_only

skip() {
	echo "SKIP: $1"
	exit 77
}

command -v npm >/dev/null && command -v node >/dev/null || skip "npm's own extraction is the oracle; node and npm are not here"
[ "$(npm --version | cut -d. -f1)" -ge 11 ] || skip "npm $(npm --version) is here; the oracle is npm 11 or later"
exec node "$(dirname "$0")/tar_oracle.js" "$@"
