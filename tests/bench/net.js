// net.js [--bin=DIR] [--tools=DIR] [--runs=N] [--rtt=0,20,100] [--with=dx,bun,pnpm,npm]
//        [--programs=NAME,...] [section ...]
//
// What a cold machine waits for. Everybody gets the same bytes from the same registry: nginx on
// loopback over HTTP/2 and TLS, behind a proxy that delays them (loopback.js). Both sides in one run,
// one after the other in each round, medians of N rounds (3), printed as `name value unit`.
// Every run has a new home, cache and store, and (as root) a file system of its own, made for it: ext4
// looks at each inode that was deleted in the last minutes before it gives out another, so where
// the run before was cleaned up, or anything else was, who writes 40,000 files pays ten times what it
// costs (13 s of system time for bun instead of 1.7), and who writes 1,300 hardly anything. Each tool
// has its own kind of lock, made beforehand. On a busy machine run it with `chrt -r 1` (the registry is
// then as urgent as its clients); `unshare -m` keeps the mounts from outliving this.
// Sections:
//   fetch    the project of 1,400 packages: lock present, everything cold → all packages local.
//            dx fetch, bun install, pnpm install, npm ci: wall time, own CPU (user and system, with
//            children), the largest process's memory
//   run      cold store, `dxfs mount`, first run of a program, to its end, against install-then-run;
//            `again`: the program alone, when all is here and has been read
//   predict  cold first runs without prediction, with the lock's edges, with what was learned
//   resolve  package.json → lock, metadata cold and warm (net_resolve.js), from loopback
//   real     `fetch` once, from the registry that npm is configured for
//   resolve-real   `resolve` of the project of 1,400 packages once, from there
// --projects: of `resolve`, some only (cra,next,vite,angular,storybook).
// --metadata: where the packuments for `resolve` are kept for the next time (default: they are not).
// --programs: only these of `run` and `predict`: require-express, vite-build, jest-version, require-big.
// --tools: a folder whose node_modules/.bin has bun and pnpm. npm's cache must hold the packages of
// tests/projects/{cra,vite,express} (npm ci there once). Disk: some 3 GB in $BENCH_DIR or $TMPDIR;
// all of it is removed at the end.
'use strict'
const fs = require('fs')
const os = require('os')
const path = require('path')
const { spawn, spawnSync } = require('child_process')
const loopback = require('./loopback')
const predict = require('./net_predict')
const resolve = require('./net_resolve')
const { median, show } = require('./measure')

const top = path.resolve(__dirname, '../..')
const options = { bin: path.join(top, 'build/fs'), tools: '', runs: '3', rtt: '0,20,100', with: 'dx,bun,pnpm,npm', metadata: '', programs: '', projects: '' }
const sections = []
for (const arg of process.argv.slice(2)) {
  const m = /^--(\w+)=(.*)$/.exec(arg)
  if (m && m[1] in options) options[m[1]] = m[2]
  else sections.push(arg)
}
const wanted = name => sections.length === 0 || sections.includes(name)
const project = name => path.join(top, 'tests/projects', name)
const tests = path.resolve(options.bin, '../tests')
const tool = name => path.resolve(options.tools, 'node_modules/.bin', name)
const scratch = fs.mkdtempSync(path.join(process.env.BENCH_DIR || os.tmpdir(), 'dxfs-net-'))
const disk = path.join(scratch, 'disk')
const userconfig = path.join(os.homedir(), '.npmrc')


function must (cmd, ...args) {
  const r = spawnSync(cmd, args, { encoding: 'utf8' })
  if (r.status !== 0) throw new Error(`${cmd} ${args.join(' ')}: ${r.error || r.stderr}`)
}

function dropDisk () {
  if (spawnSync('mountpoint', ['-q', disk]).status === 0 && spawnSync('umount', [disk]).status !== 0) must('umount', '-l', disk)
  fs.rmSync(disk, { recursive: true, force: true })
}

function newDisk () {
  dropDisk()
  fs.mkdirSync(disk)
  if (process.getuid() !== 0) return
  const image = `${disk}.ext4`
  fs.rmSync(image, { force: true })
  fs.writeFileSync(image, '')
  fs.truncateSync(image, 6 * 2 ** 30)
  must('mkfs.ext4', '-q', '-F', '-m', '0', '-E', 'lazy_itable_init=1,lazy_journal_init=1,nodiscard', image)
  must('mount', '-o', 'loop,noinit_itable', image, disk)
}

// A home that nobody has lived in, on a new disk; `ca`: whom to believe.
function newHome (ca) {
  const home = path.join(disk, 'home')
  newDisk()
  for (const d of ['state', 'data', 'cache', 'tmp', 'run']) fs.mkdirSync(path.join(home, d), { recursive: true, mode: 0o700 })
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    CI: '1',
    LANG: 'C.UTF-8',
    TMPDIR: path.join(home, 'tmp'),
    XDG_STATE_HOME: path.join(home, 'state'),
    XDG_DATA_HOME: path.join(home, 'data'),
    XDG_CACHE_HOME: path.join(home, 'cache'),
    XDG_RUNTIME_DIR: path.join(home, 'run'),
    DX_STORE: path.join(home, 'store'),
    BUN_INSTALL_CACHE_DIR: path.join(home, 'bun-cache'),
    npm_config_cache: path.join(home, 'npm-cache'),
    npm_config_store_dir: path.join(home, 'pnpm-store'),
    npm_config_update_notifier: 'false'
  }
  if (ca) env.NODE_EXTRA_CA_CERTS = ca
  else {
    env.npm_config_userconfig = userconfig
    if (process.env.NODE_EXTRA_CA_CERTS) env.NODE_EXTRA_CA_CERTS = process.env.NODE_EXTRA_CA_CERTS
  }
  return env
}

// Wall time of one command, in ms; throws with what it said if it fails.
function timed (argv, cwd, env) {
  const t = process.hrtime.bigint()
  const r = spawnSync(argv[0], argv.slice(1), { cwd, env, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] })
  if (r.error) throw r.error // it could not be started
  if (r.status !== 0) throw new Error(`${argv.join(' ')}: ${r.status}\n${r.stdout.slice(-2000)}\n${r.stderr.slice(-2000)}`)
  return Number(process.hrtime.bigint() - t) / 1e6
}

// The same and more, with what it started, which is waited for: nothing that leaves a daemon behind.
function measured (argv, cwd, env) {
  const out = path.join(scratch, 'rusage.json')
  timed([path.join(tests, 'rusage'), out, ...argv], cwd, env)
  return JSON.parse(fs.readFileSync(out, 'utf8'))
}

// A command to whose questions this process has the answers.
function aside (argv, cwd, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0], argv.slice(1), { cwd, env, stdio: ['ignore', 'ignore', 'inherit'] })
    child.on('error', reject)
    child.on('close', code => code === 0 ? resolve() : reject(new Error(`${argv.join(' ')}: ${code}`)))
  })
}

const clients = {
  dx: { install: [path.resolve(options.bin, 'dx'), 'fetch'] },
  bun: {
    lock: [tool('bun'), 'install', '--lockfile-only', '--ignore-scripts'],
    install: [tool('bun'), 'install', '--frozen-lockfile', '--ignore-scripts', '--no-progress']
  },
  pnpm: {
    lock: [tool('pnpm'), 'import'],
    install: [tool('pnpm'), 'install', '--frozen-lockfile', '--ignore-scripts', '--reporter=silent']
  },
  npm: { install: ['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'] }
}
const chosen = options.with.split(',').filter(name => {
  const there = name === 'dx' || name === 'npm' || (options.tools && fs.existsSync(tool(name)))
  if (!there) console.log(`${name} skipped: not in --tools`)
  return there
})

// The project with each client's own lock and settings: a folder for each.
function prepare (name, where, url, ca) {
  for (const c of chosen) {
    const dir = path.join(scratch, where, c, name)
    fs.cpSync(project(name), dir, { recursive: true, filter: f => path.basename(f) !== 'node_modules' })
    fs.writeFileSync(path.join(dir, '.npmrc'), `registry=${url}\n${ca ? `cafile=${ca}\n` : ''}`)
    if (clients[c].lock) measured(clients[c].lock, dir, newHome(ca))
  }
  return c => path.join(scratch, where, c, name)
}

// To the home's disk, so that files can be linked.
function toDisk (dir) {
  const to = path.join(disk, path.basename(dir))
  fs.cpSync(dir, to, { recursive: true })
  return to
}

const settle = () => spawnSync('sync') // what others wrote is not this one's to wait for

function report (label, runs) {
  show(`${label}-wall`, median(runs.map(r => r.wall_ms)), 'ms')
  show(`${label}-cpu`, median(runs.map(r => r.user_ms + r.sys_ms)), 'ms')
  show(`${label}-memory`, median(runs.map(r => r.rss_kb)) / 1024, 'MiB')
}

function compare (label, got) {
  for (const [c, runs] of Object.entries(got)) report(`${label}-${c}`, runs)
  if (!got.dx || !got.bun) return
  const of = (c, f) => median(got[c].map(f))
  show(`${label}-wall-ratio-to-bun`, of('dx', r => r.wall_ms) / of('bun', r => r.wall_ms), 'x')
  show(`${label}-cpu-ratio-to-bun`, of('dx', r => r.user_ms + r.sys_ms) / of('bun', r => r.user_ms + r.sys_ms), 'x')
}

function fetchRounds (rounds, dirOf, ca) {
  const got = {}
  for (let i = 0; i < rounds; i++) {
    for (const c of chosen) {
      const env = newHome(ca)
      const dir = toDisk(dirOf(c))
      settle()
      got[c] ??= []
      got[c].push(measured(clients[c].install, dir, env))
    }
  }
  return got
}

async function benchFetch (registry) {
  const dirOf = prepare('cra', 'fetch', registry.url, registry.ca)
  for (const rtt of options.rtt.split(',')) {
    await registry.roundTrip(rtt)
    compare(`fetch-rtt${rtt}`, fetchRounds(Number(options.runs), dirOf, registry.ca))
  }
  await registry.roundTrip(0)
}

const configured = () => spawnSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).stdout.trim()

function benchReal () {
  const url = configured()
  const dirOf = prepare('cra', 'real', url, '')
  compare('real', fetchRounds(1, dirOf, ''))
}

const big = ['webpack', '@babel/core', 'eslint', 'terser', 'postcss', 'typescript', 'lodash', 'react-dom/server',
  'jest-cli', 'html-webpack-plugin', 'workbox-build', 'rollup']
const programs = {
  'require-express': { in: 'express', argv: ['node', '-e', 'require("express")'] },
  'vite-build': { in: 'vite', argv: ['node_modules/.bin/vite', 'build'] },
  'jest-version': { in: 'cra', argv: ['node_modules/.bin/jest', '--version'] },
  'require-big': { in: 'cra', argv: ['node', '-e', big.map(p => `require(${JSON.stringify(p)})`).join(';')] }
}
if (options.programs) for (const name of Object.keys(programs)) if (!options.programs.split(',').includes(name)) delete programs[name]

// { first: until the program has ended, again: the program alone, with all packages here and read }
function runOnce (c, program, from, ca) {
  const env = newHome(ca)
  const dir = toDisk(from)
  const dxfs = path.resolve(options.bin, 'dxfs')
  const install = c === 'dx' ? [dxfs, 'mount', 'node_modules'] : clients[c].install
  settle()
  try {
    const first = timed(install, dir, env) + timed(program.argv, dir, env)
    if (c === 'dx') timed(clients.dx.install, dir, env)
    return { first, again: timed(program.argv, dir, env) }
  } finally {
    if (c === 'dx') spawnSync(dxfs, ['unmount', 'node_modules'], { cwd: dir, env })
  }
}

function reportRun (label, got) {
  const first = c => median(got[c].map(r => r.first))
  for (const c of chosen) {
    show(`${label}-${c}`, first(c), 'ms')
    show(`${label}-${c}-again`, median(got[c].map(r => r.again)), 'ms')
  }
  const others = chosen.filter(c => c !== 'dx').map(first)
  if (got.dx && others.length) show(`${label}-ratio-to-fastest`, first('dx') / Math.min(...others), 'x')
}

async function benchRun (registry) {
  const dirs = {}
  for (const name of new Set(Object.values(programs).map(p => p.in))) dirs[name] = prepare(name, 'run', registry.url, registry.ca)
  for (const rtt of options.rtt.split(',')) {
    await registry.roundTrip(rtt)
    for (const [label, program] of Object.entries(programs)) {
      const got = {}
      for (let i = 0; i < Number(options.runs); i++) {
        for (const c of chosen) (got[c] ??= []).push(runOnce(c, program, dirs[program.in](c), registry.ca))
      }
      reportRun(`run-${label}-rtt${rtt}`, got)
    }
  }
  await registry.roundTrip(0)
}

// What net_resolve.js needs of this.
const resolving = () => ({
  scratch, top, tests, chosen, tool, newHome, measured, aside, settle, report, median, show, configured,
  dx: clients.dx.install[0],
  runs: Number(options.runs),
  rtts: options.rtt.split(','),
  projects: options.projects ? options.projects.split(',') : undefined,
  metadata: options.metadata || path.join(scratch, 'metadata')
})

async function main () {
  let registry
  try {
    if (['fetch', 'run', 'predict'].some(wanted)) {
      registry = await loopback.start({ scratch, projects: ['cra', 'vite', 'express'].map(project), tests })
    }
    if (wanted('fetch')) await benchFetch(registry)
    if (wanted('run')) await benchRun(registry)
    if (wanted('predict')) {
      const net = { scratch, project, programs, newHome, timed, settle, prepare, median, show }
      await predict.bench({ ...net, runs: Number(options.runs), dx: clients.dx.install[0], dxfs: path.resolve(options.bin, 'dxfs') }, registry)
    }
    if (wanted('resolve')) await resolve.bench(resolving())
    if (wanted('real')) benchReal()
    if (wanted('resolve-real')) resolve.benchReal(resolving())
  } finally {
    if (registry) registry.stop()
    dropDisk()
    fs.rmSync(scratch, { recursive: true, force: true })
  }
}
main().catch(e => {
  console.error(e.message)
  process.exitCode = 1
})
