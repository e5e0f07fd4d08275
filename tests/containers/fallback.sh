#!/usr/bin/env bash
# A container that may not mount gets the same tree as real files, one line that says why, and 0.
. "$(dirname "$0")/lib.sh"
filled nested
mount_it --offline --prefetch=none
while IFS='|' read -r what options why; do
	rm -rf "$T/real" && mkdir -m 777 "$T/real" && cp -a package*.json "$T/real"
	# shellcheck disable=SC2086
	run_in $options -v "$T/store:/host:ro" -e DX_STORE_BEHIND=/host -v "$T/real:/app" -w /app dxfs-test \
		dxfs mount --fallback=export ./node_modules </dev/null >"$T/said" 2>&1 || fail "$what: $(cat "$T/said")"
	same "$what: lines" 1 "$(wc -l <"$T/said")"
	grep -q "$why.*real files" "$T/said" || fail "$what: $(cat "$T/said")"
	"$TREECMP" "$PWD/node_modules" "$T/real/node_modules" || fail "$what: another tree"
done <<END
no device||cannot open /dev/fuse
a device, but no right to mount|--device /dev/fuse|cannot mount
an ordinary user|--user 12345 -e HOME=/tmp|/dev/fuse
END
unmount_it
