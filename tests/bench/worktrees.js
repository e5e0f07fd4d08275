// worktrees.js --store=DIR --tools=DIR [--bin=DIR] [--project=DIR] [--count=100] [--few=3]
//
// What a git worktree costs: made, its packages put there, used for the first time, all looked at,
// removed; then `count` of them side by side. dxfs beside pnpm and bun, each in its fastest mode: a
// lock and a full cache, hard links, pnpm with its global virtual store too. Tools take their turns,
// worktree by worktree; medians, as `name value unit`.
//
//   --store   a filled store of the project's packages (copied, not changed)
//   --tools   a folder whose node_modules/.bin has bun and pnpm
//   --count   worktrees with a mount at once (dxfs); 0: none
//   --few     worktrees for each tool
//
// Removal is not timed right before making: ext4 is slow to give out inodes that just went. What is
// used of the disk is asked of the file system, so nobody else should write there.
'use strict'
const fs = require('fs')
const os = require('os')
const path = require('path')
const { spawnSync } = require('child_process')
const { environment, median, ms, show } = require('./measure')

const top = path.resolve(__dirname, '../..')
const options = {
  project: path.join(top, 'tests/projects/cra'), bin: path.join(top, 'build/fs'), tools: '', store: '', count: '100', few: '3'
}
for (const arg of process.argv.slice(2)) {
  const m = /^--(\w+)=(.*)$/.exec(arg)
  if (!m || !(m[1] in options)) throw new Error(`unknown argument ${arg}`)
  options[m[1]] = m[2]
}
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'dxfs-worktrees-'))
const dxfs = path.resolve(options.bin, 'dxfs')
const tool = name => path.resolve(options.tools, 'node_modules/.bin', name)
const env = { ...environment(scratch), GIT_CONFIG_GLOBAL: path.join(scratch, 'gitconfig') }

function run (cmd, args, cwd) {
  const r = spawnSync(cmd, args, { env, cwd, encoding: 'utf8', maxBuffer: 1 << 28 })
  if (r.status !== 0) throw new Error(`${cmd} ${args.join(' ')}: ${r.status} ${r.error || ''}\n${r.stdout}${r.stderr}`)
  return r.stdout
}
const used = () => { spawnSync('sync'); const s = fs.statfsSync(scratch); return { mb: (s.blocks - s.bfree) * s.bsize / 1e6, inodes: s.files - s.ffree } }

// A repository of the project with one tool's lock in it.
function repository (name, prepare) {
  const dir = path.join(scratch, name, 'repo')
  fs.mkdirSync(dir, { recursive: true })
  run('bash', ['-c', `tar -C '${options.project}' --exclude=node_modules -cf - . | tar -C '${dir}' -xf -`])
  fs.writeFileSync(path.join(dir, '.gitignore'), 'node_modules\n')
  prepare(dir)
  fs.rmSync(path.join(dir, 'node_modules'), { recursive: true, force: true })
  run('bash', ['-c', 'git init -q . && git add -A && git -c user.name=a -c user.email=a commit -qm x'], dir)
  return dir
}

const registry = run('npm', ['config', 'get', 'registry']).trim()
const npmrc = lines => dir => fs.writeFileSync(path.join(dir, '.npmrc'), [`registry=${registry}`, ...lines, ''].join('\n'))
function withPnpm (lines, yaml) {
  return dir => {
    npmrc(lines)(dir)
    if (yaml) fs.writeFileSync(path.join(dir, 'pnpm-workspace.yaml'), yaml)
    run(tool('pnpm'), ['import'], dir)
    run(tool('pnpm'), ['install', '--ignore-scripts'], dir)
  }
}
const bunArgs = backend => ['install', '--ignore-scripts', '--frozen-lockfile', `--backend=${backend}`]
const withBun = dir => { npmrc([])(dir); run(tool('bun'), ['install', '--ignore-scripts'], dir) }
const pnpmInstall = w => run(tool('pnpm'), ['install', '--frozen-lockfile', '--ignore-scripts', '--offline'], w)

const sides = {
  dxfs: {
    prepare: () => {},
    fill: w => { run(dxfs, ['mount', '--offline', path.join(w, 'node_modules')]) },
    empty: w => run(dxfs, ['unmount', path.join(w, 'node_modules')])
  },
  'bun-hardlink': { prepare: withBun, fill: w => run(tool('bun'), bunArgs('hardlink'), w) },
  'bun-copyfile': { prepare: withBun, fill: w => run(tool('bun'), bunArgs('copyfile'), w) },
  pnpm: { prepare: withPnpm(['package-import-method=hardlink']), fill: pnpmInstall },
  'pnpm-gvs': { prepare: withPnpm([], 'enableGlobalVirtualStore: true\n'), fill: pnpmInstall }
}

// webpack, as react-scripts finds it: pnpm shows the project only its own dependencies.
const firstUse = 'require(require.resolve("webpack",{paths:[require("fs").realpathSync("node_modules/react-scripts")]}))'

function each (name, side, i) {
  const w = path.join(scratch, name, `w${i}`)
  const took = side.took
  took.add.push(ms(() => run('git', ['worktree', 'add', '-q', '--detach', w], side.repo)))
  const before = used()
  took.fill.push(ms(() => side.fill(w)))
  const after = used()
  took.mb.push(after.mb - before.mb)
  took.inodes.push(after.inodes - before.inodes)
  took.require.push(ms(() => run('node', ['-e', firstUse], w)))
  took.find.push(ms(() => run('bash', ['-c', 'find node_modules | cat >/dev/null'], w)))
}
function remove (name, side, i) {
  const w = path.join(scratch, name, `w${i}`)
  if (side.empty) side.took.unmount.push(ms(() => side.empty(w)))
  side.took.remove.push(ms(() => run('git', ['worktree', 'remove', '--force', w], side.repo)))
}

function few () {
  for (const name of Object.keys(sides)) {
    if (name !== 'dxfs' && !options.tools) delete sides[name]
  }
  for (const [name, side] of Object.entries(sides)) {
    side.took = { add: [], fill: [], mb: [], inodes: [], require: [], find: [], unmount: [], remove: [] }
    try {
      side.repo = repository(name, side.prepare)
    } catch (e) {
      console.log(`${name} skipped: ${e.message.split('\n').slice(0, 3).join(' ')}`)
      delete sides[name]
    }
  }
  for (let i = 0; i < Number(options.few); i++) for (const [name, side] of Object.entries(sides)) each(name, side, i)
  for (let i = 0; i < Number(options.few); i++) for (const [name, side] of Object.entries(sides)) remove(name, side, i)
  const units = { mb: 'MB on disk', inodes: 'inodes' }
  for (const [name, side] of Object.entries(sides)) {
    for (const [what, a] of Object.entries(side.took)) if (a.length) show(`${name}-${what}`, median(a), units[what] || 'ms')
  }
}

// ---- many at once ----

const dir = path.join(scratch, 'dxfs')
const worktree = i => path.join(dir, `m${i}`)
function daemons () {
  return JSON.parse(run(dxfs, ['status', '--json'])).filter(s => s.mountpoint.startsWith(dir + '/m')).map(s => s.pid)
}
function weigh (label) {
  const sum = { Pss: 0, Rss: 0, Private_Dirty: 0, Private_Clean: 0, Shared_Clean: 0, Shared_Dirty: 0, threads: 0, descriptors: 0 }
  const pids = daemons()
  for (const pid of pids) {
    for (const line of fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').split('\n')) {
      const m = /^(\w+): +(\d+) kB/.exec(line)
      if (m && m[1] in sum) sum[m[1]] += Number(m[2])
    }
    sum.threads += fs.readdirSync(`/proc/${pid}/task`).length
    sum.descriptors += fs.readdirSync(`/proc/${pid}/fd`).length
  }
  show(`${label}-processes`, pids.length, '')
  for (const [k, v] of Object.entries(sum)) {
    const kb = !/threads|descriptors/.test(k)
    show(`${label}-${k}-each`, v / pids.length, kb ? 'kB' : '')
    if (k === 'Pss') show(`${label}-${k}-all`, v / 1024, 'MiB')
  }
}
const rest = s => spawnSync('sleep', [String(s)]) // threads go after three seconds without work

function many () {
  const n = Number(options.count)
  const t = { add: [], mount: [], list: [], unmount: [], remove: [] }
  for (let i = 0; i < n; i++) {
    t.add.push(ms(() => run('git', ['worktree', 'add', '-q', '--detach', worktree(i)], sides.dxfs.repo)))
    t.mount.push(ms(() => sides.dxfs.fill(worktree(i))))
    t.list.push(ms(() => fs.readdirSync(path.join(worktree(i), 'node_modules'))))
  }
  const state = Number(run('du', ['-s', '-B1', env.XDG_STATE_HOME]).split('\t')[0])
  rest(12)
  weigh(`${n}-fresh`)
  for (let i = 0; i < n; i++) run('node', ['-e', 'require("webpack")'], worktree(i))
  rest(15)
  weigh(`${n}-after-require-webpack`)
  for (let i = 0; i < Math.min(n, 10); i++) run('bash', ['-c', 'find node_modules -type f | head -c 0; find node_modules -type f -exec cat {} + >/dev/null'], worktree(i))
  rest(15)
  const walked = JSON.parse(run(dxfs, ['status', '--json'])).filter(s => /\/m[0-9]\/node_modules$/.test(s.mountpoint))
  show(`${n}-all-read-rss-each`, walked.reduce((a, s) => a + s.rss_kb, 0) / walked.length, 'kB')
  for (let i = 0; i < n; i++) {
    t.unmount.push(ms(() => sides.dxfs.empty(worktree(i))))
    t.remove.push(ms(() => run('git', ['worktree', 'remove', worktree(i)], sides.dxfs.repo)))
  }
  for (const [k, a] of Object.entries(t)) {
    show(`${n}-${k}`, median(a), 'ms')
    show(`${n}-${k}-p95`, [...a].sort((x, y) => x - y)[Math.floor(a.length * 0.95)], 'ms')
  }
  show(`${n}-state-each`, state / n / 1e3, 'kB on disk')
}

try {
  run('bash', ['-c', `cp -a --reflink=auto '${path.resolve(options.store)}' '${env.DX_STORE}'`])
  few()
  if (Number(options.count) > 0) many()
} finally {
  for (const s of JSON.parse(run(dxfs, ['status', '--json']))) spawnSync(dxfs, ['unmount', '--lazy', s.mountpoint], { env })
  fs.rmSync(scratch, { recursive: true, force: true })
}
