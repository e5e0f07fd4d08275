// Compares ingest with npm itself on thousands of nasty archives.
//
//   node tar_oracle.js UNPACK_TARBALL [COUNT [SEED]]
//   node tar_oracle.js UNPACK_TARBALL --keep DIR SEED INDEX     one archive, kept for a look
//   node tar_oracle.js UNPACK_TARBALL --files FILE...           real ones, say of npm's cache
//
// Each archive follows from (seed, index) alone. npm's side is pacote as `npm ci` uses it: a
// RemoteFetcher that reads from an HTTP server on the loopback, under umask 022. Compared are
// success or failure, every path, type, byte and mode, and the mended form of each script
// against npm's own fixing of bins.
'use strict'
const { execFileSync, spawn, fork } = require('child_process')
const fs = require('fs')
const http = require('http')
const os = require('os')
const path = require('path')
const zlib = require('zlib')

const WORKERS = 2
let patience = 5000 // ms; the archives are small, and npm hangs on some

// ---- random ----

function rng (seed) {
  let a = seed >>> 0
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = a
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const r = {
    real: next,
    int: n => Math.floor(next() * n),
    chance: p => next() < p,
    pick: list => list[Math.floor(next() * list.length)],
    bytes: n => Buffer.from(Array.from({ length: n }, () => Math.floor(next() * 256))),
  }
  return r
}

const B = s => Buffer.isBuffer(s) ? s : Buffer.from(s, 'latin1')
const U = s => Buffer.from(s, 'utf8')

// ---- names ----

const plain = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'lib', 'index.js', 'package.json']
const odd = [
  '.gitignore', '.gitignore', '.gitignore', '.npmignore', '.npmignore', '.GITIGNORE', '.', '..', '', 'x\\y', '..\\z',
  'q\\..', '\\w', 'c:', 'C:', 'z:v', '1:v', 'ab:y', 'node_modules', '...', ' ', 'a ', 'tab\t', 'nl\nx', 'cr\rx',
  '\x7f', '*', '?', '\xe9', '\xe9t\xe9', '\xff\xfe', '\xc0\xaf', '\xed\xa0\x80', '\xf0\x9f\x98', '\xe2\x82', '\xf4\x90\x80\x80',
  U('é'), U('é'), U('😀'), U('ﬁ'), U('\u2028'), U('\ufeff'), '\xe2\x80', 'A', 'B', 'E',
  'L'.repeat(255), 'M'.repeat(256), 'N'.repeat(300), U('é'.repeat(127)), U('é'.repeat(128)), '\xe9'.repeat(85), '\xe9'.repeat(86),
]
const tops = ['package', 'package', 'package', 'package', 'package', 'package', 'other', '.', '..', '', '/package', './package',
  '../package', 'package/', 'C:/package', 'package/c:', 'package//', 'package/\\', '\\\\h\\s', 'package/\\\\h\\s\\', 'package///?/c:', 'package/./']

function component (r) {
  return B(r.chance(0.7) ? r.pick(plain) : r.pick(odd))
}

function name (r) {
  const parts = []
  const n = 1 + r.int(r.chance(0.9) ? 3 : 7)
  if (!r.chance(0.03)) parts.push(B(r.chance(0.75) ? 'package' : r.pick(tops)))
  for (let i = 0; i < n; i++) parts.push(component(r))
  if (r.chance(0.01)) for (let i = 0; i < 1000 + r.int(40); i++) parts.push(B(r.pick(['p', '', '.'])))
  const list = []
  parts.forEach((p, i) => { if (i) list.push(B('/')); list.push(p) })
  if (r.chance(0.03)) list.push(B('/'))
  return Buffer.concat(list)
}

// ---- headers ----

function octal (v, width, r) {
  const s = Math.abs(v).toString(8)
  const styles = [
    () => s.padStart(width - 1, '0') + '\0',
    () => s.padStart(width - 2, '0') + ' \0',
    () => s.padStart(width - 1, ' ') + ' ',
    () => ' ' + s + '\0',
    () => s + '\0\0',
    () => s + ' x9',
    () => '+' + s + '\0',
    () => s.padStart(width, '0'),
    () => '\t\n ' + s,
    () => s + '\0\n7',
  ]
  const t = r.chance(0.8) ? styles[0]() : r.pick(styles)()
  return B(t.slice(0, width).padEnd(width, '\0'))
}

function base256 (v, width) {
  const b = Buffer.alloc(width)
  let n = BigInt.asUintN(width * 8, BigInt(v))
  for (let i = width - 1; i >= 0; i--) { b[i] = Number(n & 255n); n >>= 8n }
  b[0] = v < 0 ? 0xff : 0x80
  return b
}

function number (v, width, r, wild) {
  if (r.chance(0.03)) return base256(v, width)
  if (wild && r.chance(0.03)) {
    return B(r.pick(['', 'zz', '-1', '-7', '8', '9', ' ', '\x80', '\xff', '\x81aaa', '\xfe', '\xff'.repeat(width), '\0' + '7'.repeat(width - 1),
      '\x80' + '\xff'.repeat(width - 1), '\xff\0\0', ' \xc2\xa07', '0x7', '\0\n7', '7\n\0', '\x80\0\0\0\0\x1f\xff\xff\xff\xff\xff\xff',
      '\xff\xff\xff\xff\xff\xe0\0\0\0\0\0\x01'])
      .padEnd(width, '\0').slice(0, width))
  }
  return octal(v, width, r)
}

function field (buf, at, width, bytes) {
  B(bytes).copy(buf, at, 0, Math.min(width, B(bytes).length))
}

function seal (h, r) {
  let sum = 256
  for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += h[i]
  const styles = [
    () => sum.toString(8).padStart(6, '0') + '\0 ',
    () => sum.toString(8).padStart(7, '0') + '\0',
    () => sum.toString(8).padStart(7, ' ') + ' ',
    () => sum.toString(8).padStart(8, '0'),
    () => sum.toString(8) + '\0',
    () => ' ' + sum.toString(8) + ' ',
    () => (sum + 1).toString(8).padStart(6, '0') + '\0 ',
    () => 'xxxxxxxx',
    () => '\0'.repeat(8),
    () => '\x80\0\0',
  ]
  const t = r.chance(0.95) ? styles[0]() : r.pick(styles)()
  field(h, 148, 8, t.padEnd(8, '\0'))
  return h
}

// Fields of `o`: type, path, prefix, link, size, mode, magic.
function header (r, o) {
  const h = Buffer.alloc(512)
  const wild = r.chance(0.1)
  field(h, 0, 100, o.path)
  field(h, 100, 8, number(o.mode, 8, r, true))
  field(h, 108, 8, number(r.int(70000), 8, r, wild))
  field(h, 116, 8, number(r.int(70000), 8, r, wild))
  field(h, 124, 12, number(o.size, 12, r, wild))
  field(h, 136, 12, number(499162500, 12, r, wild))
  h[156] = o.type
  field(h, 157, 100, o.link || '')
  if (r.chance(0.01)) field(h, 157, 100, r.pick(['\0x', '\0\nx', '\n']))
  const magic = o.magic || r.pick(['ustar\0' + '00', 'ustar\0' + '00', 'ustar\0' + '00', 'ustar  \0', '', 'ustar\0' + '11', 'ustar \0' + '0'])
  field(h, 257, 8, magic)
  if (magic === 'ustar\0' + '00') {
    field(h, 265, 32, r.pick(['root', '', '\xe9']))
    if (r.chance(0.5)) field(h, 329, 8, number(r.int(8), 8, r, wild))
    if (r.chance(0.02)) field(h, 476, 12, number(499162500, 12, r, wild))
    if (r.chance(0.01)) h[475] = r.pick([1, 32, 97, 255])
  }
  if (o.prefix !== undefined) field(h, 345, 155, o.prefix)
  else if (r.chance(0.03)) field(h, 345, 155, r.pick(['package', 'package/p', '\0x', '\xe9', 'q'.repeat(131), 'package/' + 'r'.repeat(147), '\0\ny']))
  if (r.chance(0.01)) h[r.int(512)] ^= 1 << r.int(8)
  return seal(h, r)
}

const pad = b => Buffer.concat([b, Buffer.alloc((512 - b.length % 512) % 512)])

function modes (r) {
  return r.pick([0o644, 0o644, 0o644, 0o755, 0o755, 0o600, 0o444, 0, 0o777, 0o775, 0o711, 0o700, 0o100, 0o1, 0o10, 0o100777, 0o4755,
    0o2755, 0o1644, 0o7777, 0o666, 0o777777])
}

function content (r) {
  if (r.chance(0.1)) return Buffer.alloc(0)
  if (r.chance(0.15)) {
    const bang = r.pick(['#!', '#!', '#!', '\xef\xbb\xbf#!', '# !', '#'])
    const what = r.pick(['/usr/bin/env node', '', 'x', '\r', '\xe9', 'x'.repeat(2042), 'x'.repeat(2043), 'x'.repeat(2044), 'x'.repeat(2045), 'y'.repeat(3000), '\0'])
    const end = r.pick(['\r\n', '\r\n', '\r\n', '\n', '\r', '\r\r\n', '\n\r\n'])
    const tail = r.pick(['', 'code\r\n', '\xe9\xe9', '\xf0\x9f\x98', '\xe2\x82A', '\xed\xa0\x80', '\xc0\xaf\xff', U('é😀\ufeff').toString('latin1'), '\r\n#!y\r\n'])
    return B(bang + what + end + tail)
  }
  const n = r.pick([1, 5, 511, 512, 513, r.int(100), r.int(1500)])
  return r.chance(0.5) ? Buffer.alloc(n, 97 + r.int(26)) : r.bytes(n)
}

// ---- pax ----

function paxLine (r, key, value) {
  const rest = Buffer.concat([B(' '), B(key), B('='), B(value), B('\n')])
  let n = rest.length + 1
  while (String(n).length + rest.length !== n) n = String(n).length + rest.length
  const good = Buffer.concat([B(String(n)), rest])
  if (!r.chance(0.06)) return good
  return r.pick([
    () => Buffer.concat([B(String(n + 1)), rest]),
    () => Buffer.concat([B(String(n - 1)), rest]),
    () => Buffer.concat([B(' '), B(String(n + 1)), rest]),
    () => Buffer.concat([B('0'), B(String(n + 1)), rest]),
    () => Buffer.concat([B(String(n)), B('\t'), rest.subarray(1)]),
    () => Buffer.concat([B(String(n)), B('='), rest.subarray(1)]),
    () => Buffer.concat([good, B('\n')]),
    () => good.subarray(0, good.length - 1),
    () => Buffer.concat([B(String(n + 1)), U('é'), rest.subarray(1)]),
  ])()
}

// Link paths never name a folder that is made: npm's queue of paths locks itself up over that.
const links = ['lnk', '../lnk', '../../lnk', '../../../../../lnk', '/lnk', 'c:../lnk', '..\\..\\..\\lnk', 'lnk/../lnk', '', '..', 'lnk/..', '/..']

function sizes (r, size) {
  return r.pick([String(size), String(size), String(size), String(size), '0', '', '-1', ' ' + size + ' ', size + '.5', size + '.', '0x' + size.toString(16),
    '0o' + size.toString(8), '0b' + size.toString(2), size + 'e0', size / 10 + 'e1', 'x', 'Infinity', '1e400', '1_0', '+' + size, '0.5', size + '\0z', 'NaN'])
}

function pax (r, o) {
  const lines = []
  for (const k of ['path', 'size', 'linkpath']) {
    if (k === 'path' && r.chance(0.7)) lines.push(paxLine(r, k, tweak(r, name(r))))
    if (k === 'size' && r.chance(0.15)) lines.push(paxLine(r, k, sizes(r, o.size)))
    if (k === 'linkpath' && r.chance(0.06)) lines.push(paxLine(r, k, r.pick(links)))
  }
  if (r.chance(0.2)) {
    lines.push(paxLine(r, r.pick(['mode', 'uid', 'gid', 'mtime', 'atime', 'ctime', 'comment', 'type', 'SCHILY.dev', 'GNU.sparse.major', '', 'PATH', 'charset']),
      r.pick(['0', '1', '493', 'x', '', 'a=b', '\xe9'])))
  }
  return Buffer.concat(lines)
}

// What may stand behind or in a path: NUL and line ends.
function tweak (r, p) {
  if (!r.chance(0.04)) return p
  const at = r.int(p.length + 1)
  return Buffer.concat([p.subarray(0, at), B(r.pick(['\0', '\0', '\0\0', '\0z', '\0\r', '\0z\nk', '\n', '\0\xe2\x80\xa8k', '\r\0', '=', '\0q\rz\0'])), p.subarray(at)])
}

// ---- archives ----

function meta (r, o, out) {
  const type = r.pick(['x', 'x', 'x', 'x', 'L', 'L', 'L', 'K', 'N', 'X', 'g'])
  let body
  if (type === 'K') body = B(r.pick(links) + '\0')
  else if ('LN'.includes(type)) body = Buffer.concat([tweak(r, name(r)), B(r.pick(['\0', '', '\0\0junk', '\0\nmore']))])
  else body = pax(r, o)
  if (r.chance(0.02)) body = Buffer.alloc(0)
  // npm decodes these bodies chunk by chunk and breaks characters at chunk ends; keep clear.
  const at = out.reduce((n, b) => n + b.length, 0)
  if (Math.floor(at / 16384) !== Math.floor((at + 512 + body.length + 512) / 16384)) return
  const path = type === 'L' ? '././@LongLink' : r.pick(['PaxHeader/x', '././@PaxHeader', 'package/x', ''])
  out.push(header(r, { type: type.charCodeAt(0), path, size: body.length, mode: 0o644, link: r.chance(0.02) ? 'l' : '' }), pad(body))
}

function entry (r, out, used) {
  const p = used.length && r.chance(0.35) ? r.pick(used) : name(r)
  used.push(p, p)
  if (r.chance(0.3)) {
    const i = p.lastIndexOf('/')
    if (i > 0) used.push(p.subarray(0, i))
    used.push(Buffer.concat([p, B('/'), component(r)]))
  }
  if (r.chance(0.15) && p.includes('/')) {
    const dir = p.subarray(0, p.lastIndexOf('/') + 1)
    for (const base of ['.gitignore', '.npmignore']) used.push(Buffer.concat([dir, B(base)]))
  }
  const body = content(r)
  const type = r.chance(0.75) ? '0' : r.pick(['\0', '\0', '7', '7', '7', '5', '5', '1', '2', '3', '4', '6', 'S', 'A', 'D', 'I', 'M', 'V', 'Z', '\xff', ' ', '8'])
  const isLink = type === '1' || type === '2'
  const o = { type: type.charCodeAt(0), path: p, size: body.length, mode: modes(r) }
  o.link = isLink ? r.pick(['package/a', '../x', '/etc/passwd', '']) : r.chance(0.02) ? 'l' : ''
  const metas = r.chance(0.25) ? 1 + r.int(3) : 0
  for (let i = 0; i < metas; i++) meta(r, o, out)
  if (p.length > 100 && r.chance(0.7)) {
    if (r.chance(0.5) && p.indexOf('/') > 0 && p.length < 255) {
      const cut = p.subarray(0, 155).lastIndexOf('/')
      Object.assign(o, { prefix: p.subarray(0, cut), path: p.subarray(cut + 1), magic: 'ustar\0' + '00' })
    } else {
      const long = Buffer.concat([p, B('\0')])
      const at = out.reduce((n, b) => n + b.length, 0)
      if (Math.floor(at / 16384) === Math.floor((at + 1024 + long.length) / 16384)) {
        out.push(header(r, { type: 76, path: '././@LongLink', size: long.length, mode: 0 }), pad(long))
      }
    }
  }
  if ((type === '5' || isLink) && r.chance(0.7)) o.size = 0
  out.push(header(r, o), o.size ? pad(body) : Buffer.alloc(0))
}

// What chance alone makes too rarely.
function oddity (r, out) {
  if (r.chance(0.5)) {
    const h = Buffer.from(header(r, { type: 48, path: 'package/unreadable', size: 0, mode: 420 }))
    if (r.chance(0.7)) h[108] = r.pick([0x80, 0x81, 0xfe])
    out.push(Buffer.alloc(512), seal(h, r), Buffer.alloc(r.pick([0, 512, 512])))
    return
  }
  const size = paxLine(r, 'size', r.pick(['0', '0', '3', '2000000']))
  out.push(header(r, { type: r.pick([0x78, 0x78, 0x67]), path: 'pax', size: size.length, mode: 0 }), pad(size))
  const long = B(r.pick(['package/long\0', '', 'package/l']))
  out.push(header(r, { type: 76, path: '././@LongLink', size: long.length, mode: 0 }), long.length ? pad(long) : long)
}

function tar (r) {
  const out = []
  const used = []
  const n = r.int(r.chance(0.9) ? 9 : 30)
  for (let i = 0; i < n; i++) {
    entry(r, out, used)
    if (r.chance(0.03)) out.push(Buffer.alloc(512 * (1 + r.int(2))))
    if (r.chance(0.01)) out.push(r.bytes(512))
    if (r.chance(0.02)) oddity(r, out)
  }
  out.push(Buffer.alloc(512 * r.pick([2, 2, 2, 2, 1, 0, 3, 20])))
  if (r.chance(0.05)) out.push(r.bytes(r.pick([1, 100, 511, 512, 700])))
  let all = Buffer.concat(out)
  if (r.chance(0.05)) all = all.subarray(0, r.int(all.length + 1))
  if (r.chance(0.01)) all = Buffer.concat([header(r, { type: 48, path: 'package/zeros', size: 1 << 20, mode: 420 }), Buffer.alloc(r.pick([1, 3]) << 20), all])
  return all
}

function gzip (r, bytes) {
  const z = zlib.gzipSync(bytes, { level: r.pick([0, 1, 6, 9]) })
  if (!r.chance(0.1)) return z
  const flags = r.int(32)
  const extra = [z.subarray(0, 10)]
  if (flags & 4) extra.push(B('\x03\x00abc'))
  if (flags & 8) extra.push(B('name\0'))
  if (flags & 16) extra.push(B('comment\0'))
  z[3] = flags
  if (flags & 2) {
    const sum = crc32(Buffer.concat(extra)) & 0xffff
    extra.push(Buffer.from([sum & 255, (sum >> 8) ^ (r.chance(0.3) ? 1 : 0)]))
  }
  return Buffer.concat([...extra, z.subarray(10)])
}

function crc32 (b) {
  let c = ~0
  for (const x of b) {
    c ^= x
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  }
  return ~c >>> 0
}

function archive (seed, index) {
  const r = rng(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b))
  for (let i = 0; i < 3; i++) r.real()
  const bytes = tar(r)
  if (r.chance(0.15)) return bytes
  if (r.chance(0.01)) return Buffer.concat([B('\x28\xb5\x2f\xfd'), bytes])
  const members = []
  const n = r.chance(0.15) ? 1 + r.int(4) : 1
  for (let i = 0, at = 0; i < n; i++) {
    const end = i === n - 1 ? bytes.length : Math.min(bytes.length, at + r.int(bytes.length))
    members.push(i && r.chance(0.1) ? zlib.deflateSync(bytes.subarray(at, end)) : gzip(r, bytes.subarray(at, end)))
    at = end
  }
  if (r.chance(0.1)) {
    members.push(r.pick([B('\0'), B('\0\0\0\0junk'), Buffer.alloc(600), B('junk'), B('\x1f'), B('\x1f\x8b'), B('\x1f\x8b\x08\0'), gzip(r, B(''))]))
  }
  const z = Buffer.concat(members)
  if (r.chance(0.03)) return z.subarray(0, r.int(z.length + 1))
  if (r.chance(0.02)) z[r.int(z.length)] ^= 1 << r.int(8)
  return z
}

// ---- looking at what was written ----

function snapshot (dir) {
  const found = new Map()
  const stack = [Buffer.alloc(0)]
  const root = B(dir)
  while (stack.length) {
    const rel = stack.pop()
    const here = rel.length ? Buffer.concat([root, B('/'), rel]) : root
    // Paths may be longer than the kernel takes at once.
    for (const name of fs.readdirSync(here, { encoding: 'buffer' })) {
      const sub = rel.length ? Buffer.concat([rel, B('/'), name]) : name
      const abs = Buffer.concat([root, B('/'), sub])
      const st = fs.lstatSync(abs)
      const key = sub.toString('latin1')
      if (st.isDirectory()) { found.set(key, 'folder'); stack.push(sub) } else if (st.isFile()) {
        found.set(key, (st.mode & 0o7777).toString(8) + ' ' + fs.readFileSync(abs).toString('latin1'))
      } else found.set(key, 'other')
    }
  }
  return found
}

async function mendedSnapshot (npm, dir) {
  const found = new Map()
  for (const [key, what] of snapshot(dir)) {
    const bytes = what.slice(what.indexOf(' ') + 1)
    if (what === 'folder' || what === 'other' || !bytes.startsWith('#')) continue
    const copy = dir + '.bin'
    fs.writeFileSync(copy, bytes, 'latin1')
    await npm.fixBin(copy)
    const after = fs.readFileSync(copy).toString('latin1')
    if (after !== bytes) found.set(key, after)
    fs.rmSync(copy)
  }
  return found
}

function difference (a, b) {
  for (const [k, v] of a) {
    if (!b.has(k)) return `${JSON.stringify(k)}: only npm has it (${JSON.stringify(v.slice(0, 60))})`
    if (b.get(k) !== v) return `${JSON.stringify(k)}: npm ${JSON.stringify(v.slice(0, 80))}, ingest ${JSON.stringify(b.get(k).slice(0, 80))}`
  }
  for (const [k, v] of b) if (!a.has(k)) return `${JSON.stringify(k)}: only ingest has it (${JSON.stringify(v.slice(0, 60))})`
  return null
}

// ---- the two sides ----

function loadNpm () {
  const root = execFileSync('npm', ['root', '-g'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString().trim()
  const modules = path.join(root, 'npm', 'node_modules')
  return { pacote: require(path.join(modules, 'pacote')), fixBin: require(path.join(modules, 'bin-links', 'lib', 'fix-bin.js')) }
}

function startTool (exe) {
  const p = spawn(exe, { stdio: ['pipe', 'pipe', 'inherit'] })
  let text = ''
  let waiting = null
  p.stdout.on('data', d => {
    text += d.toString('latin1')
    const i = text.indexOf('\n')
    if (i >= 0) { const line = text.slice(0, i); text = text.slice(i + 1); waiting(text ? `${line} and more` : line) }
  })
  p.on('exit', code => { if (waiting) waiting(`died: ${code}`) })
  return {
    unpack: (file, dir) => new Promise(resolve => { waiting = resolve; p.stdin.write(`${file}\t${dir}\n`) }),
    end: () => { waiting = null; p.stdin.end() },
  }
}

// Exceptions that npm throws where nobody catches them would end npm: a failure.
let interrupt = () => {}
process.on('uncaughtException', e => interrupt(e))
process.on('unhandledRejection', e => interrupt(e))

function npmExtract (npm, url, dir) {
  return new Promise(resolve => {
    const timer = setTimeout(() => resolve('npm hangs'), patience)
    const end = e => { clearTimeout(timer); resolve(e ? String(e.code || e.message || e) : null) }
    interrupt = e => end({ code: `uncaught ${e && (e.code || e.message)}` })
    npm.pacote.extract(`x@${url}`, dir, { umask: 0, fetchRetries: 0 }).then(() => end(null), e => end(e || new Error('?')))
  })
}

async function compare (npm, tool, base, bytes, url) {
  const theirs = `${base}.npm`
  const ours = `${base}.ours`
  const file = `${base}.tgz`
  fs.writeFileSync(file, bytes)
  const failure = await npmExtract(npm, url, theirs)
  const answer = await tool.unpack(file, ours)
  let diff = null
  if (failure && answer === 'ok') diff = `npm fails (${failure}), ingest does not`
  else if (!failure && answer !== 'ok') diff = `npm succeeds, ingest says: ${answer}`
  else if (!failure) {
    diff = difference(snapshot(theirs), snapshot(ours))
    if (!diff) {
      const m = difference(await mendedSnapshot(npm, theirs),
        fs.existsSync(`${ours}.mended`) ? mendedFiles(`${ours}.mended`) : new Map())
      if (m) diff = `mended ${m}`
    }
  }
  return { diff, failure }
}

function mendedFiles (dir) {
  const found = new Map()
  for (const [k, v] of snapshot(dir)) if (v !== 'folder') found.set(k, v.slice(v.indexOf(' ') + 1))
  return found
}

function clean (base) {
  for (const end of ['.npm', '.ours', '.ours.mended', '.tgz']) {
    // npm that has failed may still be writing; the folder of all goes in the end.
    try { fs.rmSync(base + end, { recursive: true, force: true }) } catch {}
  }
}

// ---- running ----

async function worker (exe, make, first, step, count, dir, keep) {
  process.umask(0o022)
  const npm = loadNpm()
  const tool = startTool(exe)
  let current
  const server = http.createServer((req, res) => {
    res.writeHead(200, { 'content-length': current.length, 'cache-control': 'no-store' })
    res.end(current)
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const port = server.address().port
  let passed = 0
  let failed = 0
  let refused = 0
  for (let i = first; i < count; i += step) {
    const base = path.join(dir, `a${i}`)
    current = make(i)
    const url = `http://127.0.0.1:${port}/x-${i}.tgz`
    let { diff, failure } = await compare(npm, tool, base, current, url)
    // Nobody's exception may be a late one of the archive before, which npm has refused; and it may
    // be the machine that hangs.
    if (diff && failure && (failure === 'npm hangs' || failure.startsWith('uncaught'))) {
      const usual = patience
      patience = 120000;
      ({ diff, failure } = await compare(npm, tool, `${base}.again`, current, url))
      patience = usual
      if (!keep) clean(`${base}.again`)
    }
    if (failure) refused++
    if (diff) { failed++; console.log(`archive ${make.label ? make.label(i) : i}: ${diff}`) } else passed++
    if (!keep) clean(base)
  }
  server.close()
  server.closeAllConnections()
  tool.end()
  return { passed, failed, refused }
}

async function main () {
  const [exe, ...args] = process.argv.slice(2)
  if (args[0] === '--worker') {
    const [seed, first, count] = args.slice(1, 4).map(Number)
    process.send(await worker(exe, i => archive(seed, i), first, WORKERS, count, args[4], false))
    process.disconnect()
    process.exit(0)
  }
  if (args[0] === '--keep') {
    fs.mkdirSync(args[1], { recursive: true })
    const one = Number(args[3])
    const t = await worker(exe, i => archive(Number(args[2]), i), one, 1, one + 1, args[1], true)
    process.exit(t.failed ? 1 : 0)
  }
  if (args[0] === '--files') {
    const files = args.slice(1)
    patience = 60000
    const make = i => fs.readFileSync(files[i])
    make.label = i => files[i]
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tar-oracle-'))
    const t = await worker(exe, make, 0, 1, files.length, dir, false)
    fs.rmSync(dir, { recursive: true, force: true })
    console.log(`${t.passed} passed, ${t.failed} failed, ${t.refused} refused by npm too`)
    process.exit(t.failed ? 1 : 0)
  }
  const count = Number(args[0] || 1000)
  const seed = args[1] ? Number(args[1]) : (Date.now() ^ process.pid) >>> 0
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tar-oracle-'))
  console.log(`seed ${seed}, ${count} archives`)
  const totals = await Promise.all(Array.from({ length: WORKERS }, (_, w) => new Promise(resolve => {
    const p = fork(__filename, [exe, '--worker', seed, w, count, dir], { stdio: 'inherit' })
    let got = null
    p.on('message', m => { got = m })
    p.on('exit', code => resolve(got || { passed: 0, failed: 1, refused: 0, code }))
  })))
  fs.rmSync(dir, { recursive: true, force: true })
  const sum = k => totals.reduce((n, t) => n + t[k], 0)
  console.log(`${sum('refused')} refused by npm too`)
  console.log(`${sum('passed')} passed, ${sum('failed')} failed (seed ${seed})`)
  process.exit(sum('failed') || sum('passed') !== count ? 1 : 0)
}

main().catch(e => {
  console.error(e)
  process.exit(1)
})
