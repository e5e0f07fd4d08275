#!/usr/bin/env bash
# Tarballs that are damaged or mean harm: EIO with a reason, or only what is a regular file inside
# the package; never a byte outside of it, and never more memory than a large package takes.
. "$(dirname "$0")/lib.sh"
mkdir -p "$T/fixtures/registry"
tools=$(cd "$(dirname "$0")/../fixtures" && pwd)
FIXTURES=$T/fixtures
start_registry

# NAME.bin in the registry's folder, and a project whose lock has their right digests.
mkdir "$T/project"
cd "$T/project"
node - "$tools/tar.js" "$FIXTURES/registry" "$REG" <<'JS'
'use strict';
const fs = require('fs'), crypto = require('crypto'), zlib = require('zlib');
const [tool, out, reg] = process.argv.slice(2);
const { entry, gzip, header, tar } = require(tool);
const good = { path: 'package/good.js', body: 'good\n' };
const all = {
	// What the paths say lies elsewhere.
	climbs: gzip(tar([good, ...['package/../../../evil', '../../../../evil', '/evil', 'package/a/../../../evil', '..',
		'package/..', '/', '//evil', 'package//../evil'].map((path) => ({ path, body: 'evil' }))])),
	// What is no regular file, and files that would go through it.
	links: gzip(tar([good, { path: 'package/passwd', type: '2', linkname: '/etc/passwd' },
		{ path: 'package/up', type: '2', linkname: '../../..' }, { path: 'package/up/evil', body: 'evil' },
		{ path: 'package/hard', type: '1', linkname: '/etc/passwd' }, { path: 'package/null', type: '3' },
		{ path: 'package/disk', type: '4' }, { path: 'package/pipe', type: '6' }])),
	twice: gzip(tar([{ path: 'package/good.js', body: 'first, and longer\n' }, good])),
	cut: gzip(tar([good, { path: 'package/noise', body: crypto.createHash('sha512').update('x').digest() }])).subarray(0, 120),
	cuttar: tar([good, { path: 'package/rest', size: 100000, body: '' }], Buffer.alloc(0)),
	text: Buffer.from('<html>captive portal</html>\n'.repeat(50)),
	nothing: Buffer.alloc(0),
	vast: gzip(tar([{ path: 'package/v', size256: true, raw: (b) => b.fill(0x7f, 125, 136) }])),
	wrong: gzip(tar([good])),
};

// Ten gigabytes of zeros: one piece that ends on a byte, many times. `noise`: below 1000:1.
function zeros(noise) {
	const head = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
	const flush = { finishFlush: zlib.constants.Z_FULL_FLUSH, level: 9 };
	const random = crypto.createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(noise));
	const start = zlib.deflateRawSync(header({ path: 'package/zeros', size256: true, size: 0xffffffff }), flush);
	const piece = zlib.deflateRawSync(Buffer.concat([Buffer.alloc(16 << 20), random]), flush);

	return Buffer.concat([head, start, ...Array(640).fill(piece), Buffer.from([1, 0, 0, 0xff, 0xff]), Buffer.alloc(8)]);
}
all.zeros = zeros(0);
all.fewer = zeros(4096);

const lock = { lockfileVersion: 3, packages: { '': { dependencies: {} } } };
for (const [name, bytes] of Object.entries(all)) {
	fs.writeFileSync(`${out}/${name}.bin`, bytes);
	lock.packages[''].dependencies[name] = '1.0.0';
	lock.packages['node_modules/' + name] = {
		version: '1.0.0', resolved: `${reg}/-/files/${name}.bin`,
		integrity: 'sha512-' + crypto.createHash('sha512').update(name === 'wrong' ? 'else' : bytes).digest('base64'),
	};
}
fs.writeFileSync('package.json', JSON.stringify(lock.packages['']));
fs.writeFileSync('package-lock.json', JSON.stringify(lock));
JS

mount_it --prefetch=none
for p in climbs links twice; do
	same "$p" good "$(cat node_modules/$p/good.js)"
done
same "links: what survives" good.js "$(ls -A node_modules/links | tr '\n' ' ' | sed 's/ $//;s/ up//')"
same "links: only files and folders" "" "$(find node_modules/links ! -type f ! -type d)"
same "climbs: only files and folders" "" "$(find node_modules/climbs ! -type f ! -type d)"
same "outside" "" "$(find "$T" -path "$T/project/node_modules" -prune -o -name 'evil*' -print)"
[ ! -e /evil ] && [ ! -e /tmp/evil ] || fail "something was written outside"

told() { # PACKAGE WORDS: reading it fails, and the log says why
	local line
	fails 1 timeout 240 cat "node_modules/$1/good.js"
	grep -q 'Input/output error' "$T/out" || fail "$1: $(cat "$T/out")"
	line=$(grep " error: $1@1.0.0: " "$T"/state/dxfs/*/log | tail -1)
	grep -qE "$REG/-/files/$1.bin: .*$2" <<<"$line" || fail "$1: no '$2' in: $line"
}
told cut 'truncated'
told text 'no tar archive'
told nothing 'no tar archive|empty'
told wrong 'expected sha512-.*received sha512-'
told vast 'archive'
told zeros '1000'
told fewer 'more than [0-9]* bytes, which is the limit'
peak=$(awk '/VmHWM/ { print $2 }' "/proc/$(status s.pid)/status")
echo "peak memory: $peak kB"
[ "$peak" -le 300000 ] || fail "the daemon took $peak kB"
same "no rest" "" "$(find "$T/store/tmp" -type f)"
fails 1 cat node_modules/cuttar/rest
same "still serves" good "$(cat node_modules/twice/good.js)"
same "the store" 0 "$(dx store verify >/dev/null; echo $?)"
