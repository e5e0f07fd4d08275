#!/usr/bin/env bash
# image.sh DIR PROGRAM... - makes the root file system of an image in DIR, with no network: a shell,
# node and the usual tools of this machine, the PROGRAMs, and the libraries that all of them need.
set -eu -o pipefail
root=$1
shift
mkdir -p "$root"/{usr/bin,usr/lib,usr/lib64,usr/local,etc,tmp,proc,sys,dev,root,run,var/tmp,app}
chmod 1777 "$root/tmp" "$root/var/tmp"
ln -s usr/bin "$root/bin"
ln -s usr/bin "$root/sbin"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"

libraries() {
	ldd "$@" 2>/dev/null | grep -oE '/[^ ):]+' | sort -u
}

programs=(bash cat chmod cp date du env find grep head id ln ls mkdir mv node rm sed sh sleep sort stat tail tar tee
	test touch tr true uname unshare wc)
files=()
for p in "${programs[@]}" "$@"; do
	file=$(readlink -f "$(type -P "$p")")
	cp -L "$file" "$root/usr/bin/${p##*/}"
	files+=("$file")
done
# What dxfs opens at run time, and what is glibc's.
late=()
for name in libcurl.so.4 librt.so.1 libpthread.so.0 libdl.so.2 libresolv.so.2 libnss_dns.so.2; do
	mapfile -tO ${#late[@]} late < <(ldconfig -p | sed -nE "s/.*${name//./\\.} .*=> //p" | head -1)
done
{ libraries "${files[@]}" "${late[@]}"; printf '%s\n' "${late[@]}"; } | while read -r lib; do
	cp -nL --parents "$lib" "$root/"
done
# Debian's node keeps some of its own modules beside it.
node -p 'Object.values(process.config.variables.node_builtin_shareable_builtins || {}).join("\n")' | while read -r file; do
	[ ! -e "/$file" ] || cp -nL --parents "/$file" "$root/"
done
[ ! -d /usr/share/nodejs ] || for m in acorn acorn-walk cjs-module-lexer undici; do
	[ ! -d /usr/share/nodejs/$m ] || cp -rnL --parents /usr/share/nodejs/$m "$root/"
done
