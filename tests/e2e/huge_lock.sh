#!/usr/bin/env bash
# A lock with a million entries is refused with a sentence, soon and with bounded memory.
. "$(dirname "$0")/lib.sh"
start_registry
project nested
cp package-lock.json "$T/lock.json"

# huge ENTRIES BYTES_EACH
huge() {
	node -e 'const fs = require("fs"), fd = fs.openSync("package-lock.json", "w"), n = +process.argv[1];
		let s = `{"lockfileVersion":3,"packages":{"":{"dependencies":{"p0":"1"}}`;
		for (let i = 0; i < n; i++) {
			s += `,"node_modules/p${i}":{"version":"1.0.0","resolved":"${"x".repeat(+process.argv[2])}"}`;
			if (s.length > 1 << 20) { fs.writeSync(fd, s); s = ""; }
		}
		fs.writeSync(fd, s + "}}");' "$1" "$2"
}

# Memory is measured by a limit on the address space: 2 GiB holds what is read and parsed. Seconds are
# the processor's.
refused() { # WORDS
	fails 1 prlimit --as=$((2 << 30)) --cpu=20 "$DXFS_BIN/dxfs" mount ./node_modules
	grep -qE "$1" "$T/out" || fail "no '$1' in: $(cat "$T/out")"
	same "lines" 1 "$(wc -l <"$T/out")"
	same "mounts" 0 "$(mounts)"
}
huge 1000000 0
refused 'package-lock.json: .*(entries|bytes).*limit'
huge 300000 1000
refused 'package-lock.json: .*(entries|bytes).*limit'
truncate -s 5G package-lock.json
refused 'package-lock.json: .*bytes, more than the limit'
cp "$T/lock.json" package-lock.json
mount_it
same "afterwards" "leaf@1.1.0" "$(node -p 'require("leaf")')"
