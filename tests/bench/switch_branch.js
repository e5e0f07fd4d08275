// switch_branch.js PROJECT DIR - DIR gets package.json and package-lock.json of a branch of PROJECT,
// as branches differ: one package in thirty has another patch version, a dependency of the project
// and all that only it needed are gone, another with ten packages of its own has come. Those that
// are new are in no registry. Deterministic.
'use strict'
const crypto = require('crypto')
const fs = require('fs')
const path = require('path')

const [project, dir] = process.argv.slice(2)
const lock = JSON.parse(fs.readFileSync(path.join(project, 'package-lock.json'), 'utf8'))
const manifest = JSON.parse(fs.readFileSync(path.join(project, 'package.json'), 'utf8'))
const integrity = s => 'sha512-' + crypto.createHash('sha512').update(s).digest('base64')
const root = lock.packages['']

// What is pinned exactly must stay.
const places = Object.keys(lock.packages).filter(p => /node_modules\//.test(p))
const pinned = new Set(Object.values(lock.packages).flatMap(p => Object.entries({ ...p.dependencies, ...p.optionalDependencies, ...p.peerDependencies, ...p.devDependencies }).filter(([, r]) => /^=?\d/.test(r)).map(([n]) => n)))
let changed = 0
places.forEach((p, i) => {
  const e = lock.packages[p]
  if (i % 30 || !e.integrity || e.inBundle || e.link || pinned.has(p.split('node_modules/').pop()) || !/^\d+\.\d+\.\d+$/.test(e.version)) return
  const version = e.version.replace(/\d+$/, n => Number(n) + 1)
  lock.packages[p] = { ...e, version, integrity: integrity(p + version), ...(e.resolved && { resolved: e.resolved.replaceAll(e.version, version) }) }
  changed++
})
const [gone] = Object.keys(root.dependencies)
for (const m of [root, manifest]) {
  delete m.dependencies[gone]
  m.dependencies['switch-new'] = '1.0.0'
}
delete lock.packages['node_modules/' + gone]
for (let i = 0; i <= 10; i++) {
  const name = i ? `switch-new-${i}` : 'switch-new'
  const dependencies = i ? undefined : Object.fromEntries(Array.from({ length: 10 }, (_, k) => [`switch-new-${k + 1}`, '^1.0.0']))
  lock.packages['node_modules/' + name] = { version: '1.0.0', resolved: `http://registry.test/${name}/-/${name}-1.0.0.tgz`, integrity: integrity(name), ...(dependencies && { dependencies }) }
}
fs.mkdirSync(dir, { recursive: true })
fs.writeFileSync(path.join(dir, 'package.json'), JSON.stringify(manifest, null, 2) + '\n')
fs.writeFileSync(path.join(dir, 'package-lock.json'), JSON.stringify(lock, null, 2) + '\n')
console.log(JSON.stringify({ changed, gone }))
