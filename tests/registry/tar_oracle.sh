#!/bin/sh
# tar_oracle.sh UNPACK_TARBALL [COUNT [SEED]]: ingest against npm's own extraction; needs npm, no network.
command -v npm >/dev/null && command -v node >/dev/null || {
	echo "SKIP: node and npm are not installed; npm's own extraction is the oracle"
	exit 77
}
exec node "$(dirname "$0")/tar_oracle.js" "$@"
