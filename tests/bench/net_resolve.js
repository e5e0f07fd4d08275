// net_resolve.js - net.js's section `resolve`: package.json → lock, metadata cold and warm.
//
// The packuments are the real ones of all that any of the tools asks for, taken once from the
// registry that npm is configured for (packuments.js), full and abbreviated: each tool gets the form
// that it asks for. Cold: a new home, nothing kept. Warm: the same again, without the lock, with what
// that run has kept, and told to prefer it to asking again (dx, npm and pnpm; bun asks again only
// after the registry's max-age).
'use strict'
const fs = require('fs')
const path = require('path')
const loopback = require('./loopback')
const packuments = require('./packuments')

const projects = { cra: 'projects/cra', next: 'projects/next', vite: 'projects/vite', angular: 'registry/resolve/angular', storybook: 'registry/resolve/storybook' }
const locks = { dx: 'dx.lock', bun: 'bun.lock', pnpm: 'pnpm-lock.yaml', npm: 'package-lock.json' }
const commands = net => ({
  dx: [net.dx, 'lock'],
  bun: [net.tool('bun'), 'install', '--lockfile-only', '--ignore-scripts', '--no-progress'],
  pnpm: [net.tool('pnpm'), 'install', '--lockfile-only', '--ignore-scripts', '--reporter=silent'],
  npm: ['npm', 'install', '--package-lock-only', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
})
const warmer = { pnpm: ['--prefer-offline'] }

function prepare (net, name, c, url, ca) {
  const dir = path.join(net.scratch, 'resolve', c, name)
  fs.rmSync(dir, { recursive: true, force: true })
  fs.mkdirSync(dir, { recursive: true })
  fs.copyFileSync(path.join(net.top, 'tests', projects[name], 'package.json'), path.join(dir, 'package.json'))
  fs.writeFileSync(path.join(dir, '.npmrc'), `registry=${url}\n${ca ? `cafile=${ca}\n` : ''}`)
  return dir
}

// A cold run and the warm one after it.
function both (net, c, dir, ca) {
  const env = net.newHome(ca)
  const command = commands(net)[c]
  const run = (argv, more) => {
    fs.rmSync(path.join(dir, locks[c]), { force: true })
    net.settle()
    const got = net.measured(argv, dir, { ...env, ...more })
    if (!fs.existsSync(path.join(dir, locks[c]))) throw new Error(`${argv.join(' ')}: no ${locks[c]}`)
    return got
  }
  return { cold: run(command), warm: run([...command, ...(warmer[c] || [])], c === 'dx' || c === 'npm' ? { npm_config_prefer_offline: 'true' } : {}) }
}

function rounds (net, label, name, runs, url, ca) {
  const got = {}
  for (let i = 0; i < runs; i++) {
    for (const c of net.chosen) {
      const r = both(net, c, prepare(net, name, c, url, ca), ca)
      for (const kind of ['cold', 'warm']) ((got[kind] ??= {})[c] ??= []).push(r[kind])
    }
  }
  for (const kind of ['cold', 'warm']) {
    for (const c of net.chosen) net.report(`${label}-${name}-${kind}-${c}`, got[kind][c])
    for (const c of net.chosen.filter(c => c !== 'dx' && got[kind].dx)) {
      const wall = of => net.median(got[kind][of].map(r => r.wall_ms))
      net.show(`${label}-${name}-${kind}-wall-ratio-to-${c}`, wall('dx') / wall(c), 'x')
    }
  }
}

// Everything is asked for once by everybody, so that the folder has what they need.
async function fill (net) {
  const filling = await packuments.fill({ from: net.configured(), dir: net.metadata })
  try {
    for (const name of Object.keys(projects)) {
      for (const c of net.chosen) await net.aside(commands(net)[c], prepare(net, name, c, filling.url, ''), net.newHome(''))
    }
  } finally {
    filling.stop()
  }
}

async function bench (net) {
  const done = path.join(net.metadata, 'complete')
  if (!fs.existsSync(done)) {
    await fill(net)
    fs.writeFileSync(done, '')
  }
  const registry = await loopback.start({ scratch: net.scratch, projects: [], tests: net.tests, metadata: net.metadata })
  try {
    for (const rtt of net.rtts) {
      await registry.roundTrip(rtt)
      for (const name of net.projects || Object.keys(projects)) rounds(net, `resolve-rtt${rtt}`, name, net.runs, registry.url, registry.ca)
    }
  } finally {
    registry.stop()
  }
}

function benchReal (net) {
  rounds(net, 'resolve-real', 'cra', 1, net.configured(), '')
}

module.exports = { bench, benchReal }
