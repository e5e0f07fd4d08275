// synth_lock.js COUNT DIR - a project of COUNT packages that no registry has, for mount times:
// the shape (names, dependencies, nesting, bins) is that of real locks. Deterministic.
'use strict'
const fs = require('fs')
const path = require('path')
const crypto = require('crypto')

const count = Number(process.argv[2])
const dir = process.argv[3]
let seed = 42
const random = n => {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
  return seed % n
}
const words = 'core util stream parse glob path map set async plugin loader babel types eslint css'.split(' ')
const names = []
for (let i = 0; i < count; i++) {
  const name = `${words[i % words.length]}-${words[random(words.length)]}-${i}`
  names.push(i % 5 === 0 ? `@${words[random(words.length)]}/${name}` : name)
}
const integrity = s => 'sha512-' + crypto.createHash('sha512').update(s).digest('base64')
const packages = { '': { name: 'synth', version: '1.0.0', dependencies: {} } }
const entry = (name, i, version) => {
  const e = { version, integrity: integrity(name + version), license: 'MIT' }
  if (i % 9 === 0) e.bin = { [name.replace(/^@.*\//, '')]: 'bin/cli.js' }
  if (i % 3 === 0) e.engines = { node: '>=12' }
  return e
}
for (let i = 0; i < count; i++) {
  const e = entry(names[i], i, `1.${i % 30}.${i % 7}`)
  const deps = {}
  for (let k = 0; k < 3 && i + 1 < count; k++) {
    const j = i + 1 + random(Math.min(40, count - i - 1))
    deps[names[j]] = '^1.0.0'
  }
  if (Object.keys(deps).length) e.dependencies = Object.fromEntries(Object.entries(deps).sort())
  packages[`node_modules/${names[i]}`] = e
  // A root that demands all keeps every entry reachable.
  packages[''].dependencies[names[i]] = '^1.0.0'
}
const lock = { name: 'synth', version: '1.0.0', lockfileVersion: 3, requires: true, packages }
fs.mkdirSync(dir, { recursive: true })
fs.writeFileSync(path.join(dir, 'package-lock.json'), JSON.stringify(lock, null, 2) + '\n')
fs.writeFileSync(path.join(dir, 'package.json'), JSON.stringify(packages[''], null, 2) + '\n')
