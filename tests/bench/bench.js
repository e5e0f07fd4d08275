// bench.js [--project=DIR] [--bin=DIR] [--tools=DIR] [--runs=N] [section ...]
//
// Both sides in one run, medians, printed as `name value unit`; ratios where there are two sides.
// Sections:
//   mount    from exec to a first `ls node_modules` that answers, warm store, locks of 70, 350,
//            1,400 and 5,000 packages, and by step what it is spent on
//   switch   another lock behind the mount, as a branch switch brings it (switch_branch.js): from
//            both files being there to the name of a package that came being there, less the time
//            that the mount waits for more changes; of a lock that it has met before, and of a new one
//   install  bun's and pnpm's warm install of the project (--tools: a folder whose node_modules/.bin
//            has them), beside the mount
//   export   the tree as real files: dx export, and bun's warm install by hard links and by copies
//   read     require of ten big packages, find, tar: warm and with dropped caches, against the same
//            tree on disk; dropped also just after mounting, and without what the program alone takes
//            then (its own binary has to be read again, too); the disk's reads on both sides;
//            messages; the daemon's memory; removal
//   write    1,000 small files and one of 200 MB, written, read back, removed, in node_modules/.cache
//            and in a folder on the same disk; messages for the small ones
//   lock     open and check, look-up, render, against JSON.parse and npm's own reading; sizes
//   store    put and verify against sha512sum and cp; blobs and bytes against npm's folder
//
// Needs root (dropped caches), npm, a registry that answers for the first filling, and about
// 2 GB of disk in $BENCH_DIR (default: a folder in $TMPDIR that is removed at the end).
'use strict'
const fs = require('fs')
const os = require('os')
const path = require('path')
const { spawnSync } = require('child_process')
const { environment, median, ms, show } = require('./measure')

const top = path.resolve(__dirname, '../..')
const options = { project: path.join(top, 'tests/projects/cra'), bin: path.join(top, 'build/fs'), runs: '20', tools: '' }
const sections = []
for (const arg of process.argv.slice(2)) {
  const m = /^--(\w+)=(.*)$/.exec(arg)
  if (m && m[1] in options) options[m[1]] = m[2]
  else sections.push(arg)
}
const wanted = name => sections.length === 0 || sections.includes(name)
const runs = Number(options.runs)
const dxfs = path.resolve(options.bin, 'dxfs')
const dx = path.resolve(options.bin, 'dx')
const scratch = process.env.BENCH_DIR || fs.mkdtempSync(path.join(os.tmpdir(), 'dxfs-bench-'))
fs.mkdirSync(scratch, { recursive: true })
const env = { ...environment(scratch), npm_config_cache: path.join(scratch, 'npm-cache') }

function run (cmd, args, opts = {}) {
  const r = spawnSync(cmd, args, { env, encoding: 'utf8', maxBuffer: 1 << 28, ...opts })
  if (r.status !== 0 && !opts.mayFail) {
    throw new Error(`${cmd} ${args.join(' ')}: ${r.status} ${r.error || ''}\n${r.stderr}`)
  }
  return r
}
const sh = (script, opts) => run('bash', ['-c', script], opts)
const times = (n, before, fn) => {
  const a = []
  for (let i = 0; i < n; i++) {
    before()
    a.push(ms(fn))
  }
  return median(a)
}
const dropCaches = () => {
  spawnSync('sync')
  fs.writeFileSync('/proc/sys/vm/drop_caches', '3')
}
const copyProject = (from, to) => {
  fs.mkdirSync(to, { recursive: true })
  sh(`tar -C '${from}' --exclude=node_modules -cf - . | tar -C '${to}' -xf -`)
}
const unmount = dir => run(dxfs, ['unmount', path.join(dir, 'node_modules')], { mayFail: true })

// The project twice: as npm writes it, and for mounting; its packages in the store.
const onDisk = path.join(scratch, 'disk')
const mounted = path.join(scratch, 'mount')
function fill () {
  if (!fs.existsSync(path.join(onDisk, 'node_modules'))) {
    copyProject(options.project, onDisk)
    const t = ms(() => run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: onDisk }))
    show('npm-ci-cold-cache', t, 'ms')
  }
  copyProject(options.project, mounted)
  run(dx, ['fetch'], { cwd: mounted })
}

function benchMount () {
  const projects = { }
  for (const [n, name] of [[70, 'express'], [350, 'vite'], [1400, 'cra']]) {
    const dir = path.join(top, 'tests/projects', name)
    if (fs.existsSync(dir)) projects[`${n} (${name})`] = dir
  }
  show('start-a-program', times(runs, () => {}, () => run('/bin/true', [])), 'ms')
  const synth = path.join(scratch, 'synth')
  run('node', [path.join(__dirname, 'synth_lock.js'), '5000', synth])
  projects['5000 (synthetic)'] = synth
  for (const [name, dir] of Object.entries(projects)) {
    const at = path.join(scratch, 'm', path.basename(dir))
    copyProject(dir, at)
    const nm = path.join(at, 'node_modules')
    // From exec to a listing, without a shell between; what it costs to start a program at all
    // is shown beside it.
    const mount = () => {
      run(dxfs, ['mount', '--offline', '--prefetch=none', nm])
      fs.readdirSync(nm)
    }
    mount() // makes the derived lock and the slots
    unmount(at)
    const t = times(runs, () => {}, () => mount())
    unmount(at)
    const each = []
    for (let i = 0; i < runs; i++) {
      each.push(ms(() => mount()))
      unmount(at)
    }
    show(`mount-${name}`, median(each), 'ms')
    show(`mount-again-${name}`, t, 'ms')
    const removal = []
    for (let i = 0; i < runs; i++) {
      mount()
      removal.push(ms(() => unmount(at)))
    }
    show(`unmount-${name}`, median(removal), 'ms')
    const r = sh(`'${dxfs}' mount -v --offline --prefetch=none '${nm}'`)
    process.stdout.write(r.stderr.replace(/^(?=.)/gm, '  '))
    unmount(at)
  }
}

// The mount waits so long for more changes (RELOCK_QUIET_MS in fs/relock.h).
const quiet = 100
async function benchSwitch () {
  const at = path.join(scratch, 'm', 'switch')
  const branch = path.join(scratch, 'branch')
  copyProject(options.project, at)
  run('node', [path.join(__dirname, 'switch_branch.js'), options.project, branch])
  run(dxfs, ['mount', '--offline', '--prefetch=none', path.join(at, 'node_modules')])
  const came = path.join(at, 'node_modules/switch-new')
  const sides = [options.project, branch].map(dir => ['package.json', 'package-lock.json'].map(f => fs.readFileSync(path.join(dir, f), 'utf8')))
  for (const kind of ['known', 'new']) {
    const took = []
    for (let i = 1; i <= runs + 2; i++) {
      const [manifest, lock] = sides[i % 2]
      fs.writeFileSync(path.join(at, '.manifest'), manifest)
      // What nobody has seen yet differs in a digest.
      fs.writeFileSync(path.join(at, '.lock'), kind === 'known' ? lock : lock.replace(/(sha512-)[^"]{8}/, `$1${String(i).padStart(8, 'A')}`))
      await new Promise(resolve => setTimeout(resolve, 3 * quiet)) // what was before has been looked at
      const t = process.hrtime.bigint()
      fs.renameSync(path.join(at, '.manifest'), path.join(at, 'package.json'))
      fs.renameSync(path.join(at, '.lock'), path.join(at, 'package-lock.json'))
      while (fs.existsSync(came) !== (i % 2 === 1)) if (process.hrtime.bigint() - t > 10n ** 10n) throw new Error('the switch is not seen')
      if (i > 2) took.push(Number(process.hrtime.bigint() - t) / 1e6 - quiet)
    }
    show(`switch-to-a-${kind}-lock`, median(took), 'ms')
  }
  unmount(at)
}

function benchInstall () {
  const tool = name => path.resolve(options.tools, 'node_modules/.bin', name)
  fill()
  const registry = run('npm', ['config', 'get', 'registry']).stdout.trim()
  const at = path.join(scratch, 'install')
  const each = {
    pnpm: ['import', ['install', '--frozen-lockfile', '--ignore-scripts', '--offline']],
    bun: ['', ['install', '--ignore-scripts', '--frozen-lockfile']]
  }
  for (const [name, [, args]] of Object.entries(each)) {
    if (!options.tools || !fs.existsSync(tool(name))) {
      console.log(`${name} skipped: not in --tools`)
      continue
    }
    const dir = path.join(at, name)
    copyProject(options.project, dir)
    fs.writeFileSync(path.join(dir, '.npmrc'), `registry=${registry}\n`)
    if (name === 'pnpm') run(tool(name), ['import'], { cwd: dir })
    run(tool(name), name === 'pnpm' ? ['install', '--ignore-scripts'] : ['install', '--ignore-scripts'], { cwd: dir })
    const t = times(Math.min(runs, 5), () => sh(`rm -rf '${dir}/node_modules'`), () => run(tool(name), args, { cwd: dir }))
    show(`${name}-warm-install`, t, 'ms')
  }
  const t = times(runs, () => unmount(mounted), () => {
    run(dxfs, ['mount', '--prefetch=none', path.join(mounted, 'node_modules')])
    fs.readdirSync(path.join(mounted, 'node_modules'))
  })
  show('dxfs-mount', t, 'ms')
  unmount(mounted)
}

// Each run into a folder of its own, nothing deleted between: ext4 is slow to give out inodes that
// just went.
function benchExport () {
  copyProject(options.project, mounted)
  run(dx, ['fetch'], { cwd: mounted })
  const at = path.join(scratch, 'export')
  const bun = path.resolve(options.tools, 'node_modules/.bin/bun')
  const sides = { 'dx-export': (dir) => run(dx, ['export', '--offline'], { cwd: dir }) }
  const from = path.join(at, 'bun-from')
  if (options.tools && fs.existsSync(bun)) {
    copyProject(options.project, from)
    fs.writeFileSync(path.join(from, '.npmrc'), `registry=${run('npm', ['config', 'get', 'registry']).stdout.trim()}\n`)
    run(bun, ['install', '--ignore-scripts'], { cwd: from })
    for (const backend of ['hardlink', 'copyfile']) {
      sides[`bun-${backend}`] = dir => run(bun, ['install', '--ignore-scripts', '--frozen-lockfile', `--backend=${backend}`], { cwd: dir })
    }
  }
  const took = {}
  for (let i = 0; i < Math.min(runs, 5); i++) {
    for (const [name, fn] of Object.entries(sides)) {
      const dir = path.join(at, `${name}-${i}`)
      copyProject(name === 'dx-export' ? options.project : from, dir)
      ;(took[name] ||= []).push(ms(() => fn(dir)))
    }
  }
  for (const [name, a] of Object.entries(took)) show(name, median(a), 'ms')
  for (const name of Object.keys(took).slice(1)) show(`dx-export-to-${name}`, median(took['dx-export']) / median(took[name]), 'x')
  fs.rmSync(at, { recursive: true })
}

const big = ['webpack', '@babel/core', 'eslint', 'terser', 'postcss', 'typescript', 'lodash', 'react-dom/server',
  'jest-cli', 'html-webpack-plugin', 'workbox-build', 'rollup', '@babel/preset-env']

// What the disk under `scratch` has done since it was started, for everybody: exact while nothing
// else runs.
function diskReads () {
  const dev = fs.statSync(scratch).dev
  const name = `${(dev >> 8) & 0xfff} ${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`
  const line = fs.readFileSync('/proc/diskstats', 'utf8').split('\n').map(l => l.trim().split(/\s+/)).find(l => `${l[0]} ${l[1]}` === name)
  return line ? { reads: Number(line[3]), bytes: Number(line[5]) * 512 } : { reads: 0, bytes: 0 }
}

// Medians of each; all in turn, so that noise meets all.
function inTurn (n, works, before) {
  const all = works.map(() => [])
  for (let i = 0; i < n; i++) {
    works.forEach((work, k) => {
      before(k)
      const was = diskReads()
      const t = ms(work)
      const is = diskReads()
      all[k].push({ ms: t, reads: is.reads - was.reads, bytes: is.bytes - was.bytes })
    })
  }
  return all.map(a => Object.fromEntries(['ms', 'reads', 'bytes'].map(key => [key, median(a.map(x => x[key]))])))
}

function benchRead () {
  fill()
  const there = big.filter(p => fs.existsSync(path.join(onDisk, 'node_modules', p.split('/').slice(0, p[0] === '@' ? 2 : 1).join('/')))).slice(0, 10)
  const script = there.map(p => `require(${JSON.stringify(p)})`).join(';')
  const works = {
    require: dir => run('node', ['-e', script], { cwd: dir }),
    find: dir => sh('find node_modules | cat >/dev/null', { cwd: dir }),
    tar: dir => sh('tar -cf - node_modules | cat >/dev/null', { cwd: dir })
  }
  // The same programs with nothing to do: what emptied caches cost them on either side.
  const empty = path.join(scratch, 'empty')
  fs.mkdirSync(empty, { recursive: true })
  const alone = {
    require: () => run('node', ['-e', '0'], { cwd: empty }),
    find: () => sh('find . | cat >/dev/null', { cwd: empty }),
    tar: () => sh('tar -cf - . | cat >/dev/null', { cwd: empty })
  }
  const status = () => JSON.parse(run(dxfs, ['status', '--json', path.join(mounted, 'node_modules')]).stdout)
  const mount = mode => sh(`'${dxfs}' mount ${mode} --prefetch=none '${mounted}/node_modules'`)
  for (const mode of ['--read-only', '']) {
    mount(mode)
    const n = Math.min(runs, 7)
    for (const [name, work] of Object.entries(works)) {
      const label = state => `${name}-${state}${mode || '-read-write'}`
      for (const d of [onDisk, mounted]) for (let i = 0; i < 3; i++) work(d)
      const warm = inTurn(n, [() => work(onDisk), () => work(mounted)], () => {})
      show(`${label('warm')}-disk`, warm[0].ms, 'ms')
      show(`${label('warm')}-dxfs`, warm[1].ms, 'ms')
      show(`${label('warm')}-ratio`, warm[1].ms / warm[0].ms, 'x')
      // The last one with a daemon that has not opened any package yet.
      const [disk, ours, program, fresh] = inTurn(n, [() => work(onDisk), () => work(mounted), alone[name], () => work(mounted)], i => {
        if (i === 3) {
          unmount(mounted)
          mount(mode)
        }
        dropCaches()
      })
      for (const [side, r] of [['disk', disk], ['dxfs', ours], ['dxfs-just-mounted', fresh], ['program-alone', program]]) {
        show(`${label('dropped')}-${side}`, r.ms, `ms (${r.reads} reads, ${(r.bytes / 1e6).toFixed(1)} MB of the whole disk)`)
      }
      show(`${label('dropped')}-ratio`, ours.ms / disk.ms, 'x')
      show(`${label('dropped')}-ratio-just-mounted`, fresh.ms / disk.ms, 'x')
      show(`${label('dropped')}-ratio-without-program`, (ours.ms - program.ms) / (disk.ms - program.ms), 'x')
    }
    unmount(mounted)
    mount(mode)
    let before = status()
    for (const pass of [1, 2, 3]) {
      works.tar(mounted)
      works.require(mounted)
      const after = status()
      const sent = Object.entries(after.messages).map(([k, v]) => [k, v - (before.messages[k] || 0)]).filter(([k, v]) => v > 0)
      show(`messages-pass-${pass}${mode}`, sent.reduce((s, [, v]) => s + v, 0), `messages (${sent.map(x => x.join(' ')).join(', ')})`)
      before = after
    }
    show(`daemon-memory${mode}`, before.rss_kb / 1024, 'MiB')
    show(`unmount${mode}`, ms(() => unmount(mounted)), 'ms')
  }
  const copy = path.join(scratch, 'copy')
  sh(`cp -r '${onDisk}/node_modules' '${copy}'`)
  show('rm-rf-disk', ms(() => sh(`rm -rf '${copy}'`)), 'ms')
}

// Each side in a process of its own, both in turn. What was written is read back from the page
// cache on both sides, as a tool does that finds its cache.
const writer = `
const fs = require('fs'); const [what, dir] = process.argv.slice(1)
const small = Buffer.alloc(4096, 'x'); const big = Buffer.alloc(1 << 20, 'y')
const t = process.hrtime.bigint()
if (what === 'small-write') for (let i = 0; i < 1000; i++) fs.writeFileSync(dir + '/' + i, small)
if (what === 'small-read') for (let i = 0; i < 1000; i++) fs.readFileSync(dir + '/' + i)
if (what === 'small-remove') for (let i = 0; i < 1000; i++) fs.unlinkSync(dir + '/' + i)
if (what === 'big-write') { const f = fs.openSync(dir + '/big', 'w'); for (let i = 0; i < 200; i++) fs.writeSync(f, big); fs.closeSync(f) }
if (what === 'big-fsync') { const f = fs.openSync(dir + '/big', 'r+'); fs.fsyncSync(f); fs.closeSync(f) }
if (what === 'big-read') { const f = fs.openSync(dir + '/big', 'r'); while (fs.readSync(f, big) > 0); fs.closeSync(f) }
if (what === 'big-remove') fs.unlinkSync(dir + '/big')
console.log(Number(process.hrtime.bigint() - t) / 1e6)`
function benchWrite () {
  fill()
  run(dxfs, ['mount', '--prefetch=none', path.join(mounted, 'node_modules')])
  const status = () => JSON.parse(run(dxfs, ['status', '--json', path.join(mounted, 'node_modules')]).stdout)
  const works = ['small-write', 'small-read', 'small-remove', 'big-write', 'big-fsync', 'big-read', 'big-remove']
  const took = {}
  for (let i = 0; i < Math.min(runs, 7); i++) {
    for (const [side, top] of [['disk', path.join(scratch, 'written')], ['dxfs', path.join(mounted, 'node_modules/.cache/bench')]]) {
      fs.rmSync(top, { recursive: true, force: true })
      fs.mkdirSync(top, { recursive: true })
      for (const work of works) {
        const before = side === 'dxfs' && status().messages
        const t = Number(run('node', ['-e', writer, work, top]).stdout)
        ;((took[work] ||= {})[side] ||= []).push(t)
        if (before && i === 0 && work.startsWith('small')) {
          const sent = Object.entries(status().messages).map(([k, v]) => [k, v - (before[k] || 0)]).filter(([k, v]) => v > 0)
          show(`${work}-messages`, sent.reduce((s, [, v]) => s + v, 0), `messages (${sent.map(x => x.join(' ')).join(', ')})`)
        }
      }
    }
  }
  for (const work of works) {
    const [a, b] = [median(took[work].disk), median(took[work].dxfs)]
    show(`${work}-disk`, a, 'ms')
    show(`${work}-dxfs`, b, 'ms')
    show(`${work}-ratio`, b / a, 'x')
  }
  unmount(mounted)
}

function benchLock () {
  const file = path.join(options.project, 'package-lock.json')
  const text = fs.readFileSync(file, 'utf8')
  const bench = path.resolve(options.bin, '../tests/bench_lock')
  process.stdout.write(run(bench, [file]).stdout)
  show('json-parse', times(50, () => {}, () => JSON.parse(fs.readFileSync(file, 'utf8'))), 'ms')
  const npmDir = path.join(path.dirname(fs.realpathSync(run('which', ['npm']).stdout.trim())), '..')
  const arborist = path.join(npmDir, 'node_modules/@npmcli/arborist')
  const load = `const A=require(${JSON.stringify(arborist)});(async()=>{const t=[];for(let i=0;i<7;i++){const s=process.hrtime.bigint();await new A({path:${JSON.stringify(options.project)}}).loadVirtual();t.push(Number(process.hrtime.bigint()-s)/1e6)}t.sort((a,b)=>a-b);console.log(t[3])})()`
  show('npm-load-virtual', Number(run('node', ['-e', load]).stdout), 'ms')
  const at = path.join(scratch, 'lock')
  copyProject(options.project, at)
  run(dx, ['lock'], { cwd: at })
  const made = fs.readFileSync(path.join(at, 'package-lock.json'), 'utf8') // as npm install would: without what is extraneous
  show('size-package-lock.json', Buffer.byteLength(text), 'bytes')
  show('size-dx.lock', fs.statSync(path.join(at, 'dx.lock')).size, 'bytes')
  if (fs.existsSync(path.join(scratch, 'install/bun/bun.lock'))) {
    show('size-bun.lock', fs.statSync(path.join(scratch, 'install/bun/bun.lock')).size, 'bytes')
  }
  show('export-is-byte-for-byte', run(dx, ['lock', 'export', 'dx.lock'], { cwd: at }).stdout === made ? 1 : 0, 'bool')
}

function benchStore () {
  fill()
  process.stdout.write(run(path.resolve(options.bin, '../tests/bench_store'), []).stdout)
  const gb = path.join(scratch, 'gb')
  sh(`head -c 1000000000 /dev/urandom >'${gb}'`)
  show('sha512sum', 1e3 / times(3, () => {}, () => sh(`sha512sum '${gb}' >/dev/null`)), 'GB/s')
  show('cp', 1e3 / times(3, () => {}, () => sh(`cp '${gb}' '${gb}2'; rm '${gb}2'`)), 'GB/s')
  fs.unlinkSync(gb)
  const stats = JSON.parse(run(dx, ['store', 'stats', '--json']).stdout)
  const verify = times(5, () => {}, () => run(dx, ['store', 'verify']))
  show('store-verify-whole', stats.bytes / 1e6 / verify, 'GB/s')
  show('store-blobs', stats.packages, 'files')
  show('store-bytes', stats.bytes, 'bytes')
  show('npm-folder-files', Number(sh(`find '${onDisk}/node_modules' -type f | wc -l`).stdout), 'files')
  show('npm-folder-bytes-on-disk', Number(sh(`du -s -B1 '${onDisk}/node_modules' | cut -f1`).stdout), 'bytes')
}

async function main () {
  if (wanted('mount')) benchMount()
  if (wanted('switch')) await benchSwitch()
  if (wanted('install')) benchInstall()
  if (wanted('export')) benchExport()
  if (wanted('read')) benchRead()
  if (wanted('write')) benchWrite()
  if (wanted('lock')) benchLock()
  if (wanted('store')) benchStore()
}
main().finally(() => {
  for (const d of [mounted, ...['express', 'vite', 'cra', 'synth', 'switch'].map(n => path.join(scratch, 'm', n))]) {
    if (fs.existsSync(d)) unmount(d)
  }
  if (!process.env.BENCH_DIR) fs.rmSync(scratch, { recursive: true, force: true })
})
