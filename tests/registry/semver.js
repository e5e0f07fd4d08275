// Version and range pairs for semver.sh, and npm's answers to them.
//   node semver.js SEMVER_DIRECTORY SEED COUNT DIRECTORY
// writes DIRECTORY/pairs (version, tab, range) and, for each set of options, DIRECTORY/want<options>.
'use strict'
const fs = require('fs')
const path = require('path')
const [dir, seed, count, out] = process.argv.slice(2)
const semver = require(dir)

let state = BigInt(seed) * 2862933555777941757n + 3037000493n
const below = (n) => {
  state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n)
  return Number((state >> 33n) % BigInt(n))
}
const pick = (list) => list[below(list.length)]
const maybe = (n, f) => (below(n) === 0 ? f() : '')

const number = () => pick(['0', '0', '1', '1', '2', '3', '4', '10', '12', '20', '99'])
const oddNumber = () => pick(['00', '01', '9007199254740991', '9007199254740992', '9007199254740990',
  '1000000000000000000000', '99999999999999999999999', '', '34', '9'.repeat(below(300) + 1)])
const any = () => (below(60) ? number() : oddNumber())
const identifier = () => pick(['0', '1', '2', '10', 'a', 'b', 'alpha', 'beta', 'rc', 'x', '-', '--1',
  'v', '0a', '00', '01', '9007199254740991', '9007199254740993', '9007199254740992', 'A', 'a-b'])
const pre = () => Array.from({ length: 1 + below(3) }, identifier).join('.')
const build = () => '+' + pre()
const version = () =>
  `${maybe(20, () => pick(['v', '=', 'v ', '= ', '=v', ' ', 'V']))}${any()}.${any()}.${any()}` +
  maybe(3, () => (below(12) ? '-' : pick(['', '.', '--'])) + pre()) + maybe(15, build) + maybe(60, () => ' ')

const xnumber = () => (below(6) ? any() : pick(['x', 'X', '*', 'x', '*', '']))
const partial = () => {
  const n = below(6)
  let text = xnumber()
  if (n > 0) text += '.' + xnumber()
  if (n > 1) text += '.' + xnumber() + maybe(5, () => (below(15) ? '-' : '') + pre()) + maybe(25, build)
  return text
}
const operator = () => pick(['', '', '^', '^', '~', '~', '~>', '>', '>=', '<', '<=', '='])
const comparator = () => operator() + maybe(8, () => pick([' ', 'v', '=', ' v', '= ', '  ', '\t'])) + partial()
const hyphen = () => `${maybe(20, () => 'v')}${partial()}${below(20) ? ' - ' : pick(['  - ', ' -', '- ', '\t-\t'])}${partial()}`
const junk = () => pick(['', '*', 'x', 'latest', '||', '|', '>', '<=', '>*', '<x', '1.2.3*', '>=0.0.0', '^', '~',
  '>=0.0.0-0', '<0.0.0-0', '<0.0.0', '-', '+', '~ ~1', '^ ^1', '1.2.3-', '1.2.34.5', '1.x.5', '*.1', 'x.x.x', '=', '==1',
  '1.2.3 +a', '+a 1.2.3', 'foo *', '* foo', 'foo * bar', '~ >1', '1.2.3-v= 1', '\u00a01.2\u2003', '1.2.3\ufeff'])
const part = () => {
  const n = below(40)
  if (n === 0) return junk()
  if (n < 5) return hyphen()
  return Array.from({ length: 1 + below(3) * below(2) }, () => (below(50) ? comparator() : junk())).join(' ')
}
const mutate = (text) => {
  const at = below(text.length + 1)
  const c = pick([' ', '.', '-', '+', '*', 'x', 'v', '=', '<', '>', '~', '^', '|', '0', '1', 'a', ''])
  return text.slice(0, at) + c + text.slice(at + below(2))
}
const range = () => {
  let text = Array.from({ length: 1 + below(3) * below(2) }, part).join(pick(['||', ' || ', '||', '|| ']))
  while (below(12) === 0) text = mutate(text)
  return text
}

// Half of the versions are near a version that the range names, where it matters.
const near = (text) => {
  const named = text.match(/\d{1,16}\.\d{1,16}\.\d{1,16}(-[0-9A-Za-z.-]+)?/)
  if (!named || below(2)) return version()
  let v = below(3) ? named[0] : named[0].replace(/-.*/, '')
  if (below(3) === 0) v = v.replace(/\d+/g, (d) => (below(3) ? d : String(+d + below(3) - (+d > 0))))
  if (below(3) === 0) v += (v.includes('-') ? '.' : '-') + pre()
  return v
}

const pairs = []
while (pairs.length < Number(count)) {
  const r = range()
  let v = near(r)
  if (below(40) === 0) v = mutate(v)
  if (v.includes('\t')) continue
  pairs.push([v, r])
}
fs.writeFileSync(path.join(out, 'pairs'), pairs.map((p) => p.join('\t') + '\n').join(''))
for (const [name, options] of [['', {}], ['-l', { loose: true }], ['-p', { includePrerelease: true }],
  ['-l-p', { loose: true, includePrerelease: true }]]) {
  fs.writeFileSync(path.join(out, 'want' + name),
    pairs.map(([v, r]) => (semver.satisfies(v, r, options) ? '1\n' : '0\n')).join(''))
}
