#!/usr/bin/env bash
# Offsets and sizes that no program uses: listings continued at cookies that were never given out,
# reads far past the end. Nothing hangs, nothing dies, and what is right stays right.
. "$(dirname "$0")/lib.sh"
export ASAN_OPTIONS="log_path=$T/sanitizer" UBSAN_OPTIONS="log_path=$T/sanitizer"
command -v python3 >/dev/null || skip "needs python3, for node cannot seek in a folder"
start_registry
project containers
mount_it
pids=$(daemons)
cat >"$T/odd.py" <<'PY'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.lseek.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int]
libc.lseek.restype = ctypes.c_int64
GETDENTS64 = {"x86_64": 217, "aarch64": 61}[os.uname().machine]
odd = [0, 1, 2, 3, 4, 5, 77, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**32, 2**32 + 1,
       2**32 + 2**31, 2**33, 2**48, 2**62, 2**63 - 1]
def listing(fd, at):
    libc.lseek(fd, at, 0)
    buf, total = ctypes.create_string_buffer(65536), 0
    for _ in range(10000):
        n = libc.syscall(GETDENTS64, fd, buf, 65536)
        if n <= 0:
            return total
        total += n
    sys.exit("a listing from %d does not end" % at)
for path in ["node_modules", "node_modules/.bin", "node_modules/tar-many", "node_modules/tar-many/d1"]:
    if not os.path.isdir(path):
        continue
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    whole = listing(fd, 0)
    for at in odd:
        if listing(fd, at) > whole:
            sys.exit("%s from %d has more than the whole" % (path, at))
    if listing(fd, 0) != whole:
        sys.exit("%s is not what it was" % path)
    os.close(fd)
for path in ["node_modules/tar-many/d1/e1/f1.js", "node_modules/.package-lock.json"]:
    fd, size = os.open(path, os.O_RDONLY), os.stat(path).st_size
    if len(os.pread(fd, 1 << 30, 0)) != size:
        sys.exit("%s: a huge read gave something else" % path)
    for at in [size, size + 1, 2**31, 2**32, 2**62]:
        if os.pread(fd, 1 << 20, at) != b"":
            sys.exit("%s: bytes past the end at %d" % (path, at))
    os.close(fd)
PY
timeout 240 python3 "$T/odd.py" || fail "odd offsets"
same "the daemon" "$pids" "$(daemons)"
unmount_it
# shellcheck disable=SC2086 # process ids
gone $pids
if compgen -G "$T/sanitizer*" >/dev/null; then
	cat "$T"/sanitizer*
	fail "a sanitizer had something to say"
fi
