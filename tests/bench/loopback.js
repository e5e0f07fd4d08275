// loopback.js - a registry on 127.0.0.1 that is as fast as any and as far away as one wants:
// nginx (Debian's, installed if need be) with real tarballs, over HTTP/2 and TLS, behind delayproxy.
//
//   const registry = await loopback.start({ scratch, projects, tests, metadata })
//   registry.url, registry.ca     https://127.0.0.1:PORT/, and the file of the CA that signs for it
//   await registry.roundTrip(20)  milliseconds, for what comes from then on
//   registry.stop()
//
// The tarballs come from npm's cache (tools/mirror.js), which `npm ci` of the projects fills; the
// packuments are made of what the projects' package-lock.json say, so they know these versions only
// and are smaller than real ones. With `metadata` (a folder that packuments.js filled) there are real
// packuments and no tarballs. The CA is made here and lives in the scratch folder.
'use strict'
const crypto = require('crypto')
const fs = require('fs')
const net = require('net')
const path = require('path')
const { spawn, spawnSync } = require('child_process')
const packuments = require('./packuments')

function run (cmd, args) {
  const r = spawnSync(cmd, args, { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (r.status !== 0) throw new Error(`${cmd} ${args.join(' ')}: ${r.status} ${r.error || ''}\n${r.stdout}${r.stderr}`)
  return r.stdout
}

function findNginx () {
  const there = () => ['/usr/sbin/nginx', '/usr/local/sbin/nginx'].find(f => fs.existsSync(f))
  if (!there()) run('apt-get', ['install', '-y', '-qq', 'nginx-light'])
  return there()
}

function makeCertificates (dir) {
  const at = name => path.join(dir, name)
  const ssl = (...args) => run('openssl', args)
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  fs.mkdirSync(dir, { recursive: true })
  ssl('req', '-x509', ...curve, '-keyout', at('ca.key'), '-out', at('ca.pem'), '-days', '30', '-subj', '/CN=dxfs bench CA')
  ssl('req', ...curve, '-keyout', at('leaf.key'), '-out', at('leaf.csr'), '-subj', '/CN=127.0.0.1')
  fs.writeFileSync(at('leaf.ext'), 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n')
  ssl('x509', '-req', '-in', at('leaf.csr'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial',
    '-out', at('leaf.pem'), '-days', '30', '-extfile', at('leaf.ext'))
}

// {name: {version: lock entry}} of all that the projects take from a registry.
function versionsOf (projects) {
  const all = {}
  for (const project of projects) {
    const lock = JSON.parse(fs.readFileSync(path.join(project, 'package-lock.json'), 'utf8'))
    for (const [place, e] of Object.entries(lock.packages || {})) {
      if (!place.includes('node_modules/') || e.link || e.inBundle || !e.integrity) continue
      const name = e.name || place.split('node_modules/').pop()
      all[name] = { ...all[name], [e.version]: e }
    }
  }
  return all
}

const ofTheLock = ['dependencies', 'optionalDependencies', 'peerDependencies', 'peerDependenciesMeta', 'bin', 'os',
  'cpu', 'libc', 'engines', 'deprecated', 'hasInstallScript']
function packument (name, versions, url, tarballs) {
  const base = name.split('/').pop()
  const p = { name, 'dist-tags': {}, versions: {}, time: {} }
  for (const [version, e] of Object.entries(versions)) {
    const file = path.join(tarballs, path.dirname(name), `${base}-${version}.tgz`)
    const m = p.versions[version] = { name, version }
    for (const field of ofTheLock) if (e[field] !== undefined) m[field] = e[field]
    m.dist = { tarball: `${url}${name}/-/${base}-${version}.tgz`, integrity: e.integrity }
    if (fs.existsSync(file)) m.dist.shasum = crypto.createHash('sha1').update(fs.readFileSync(file)).digest('hex')
    p['dist-tags'].latest = version
    p.time[version] = '2020-01-01T00:00:00.000Z'
  }
  return p
}

function writePackuments (projects, url, tarballs, dir) {
  for (const [name, versions] of Object.entries(versionsOf(projects))) {
    packuments.write(dir, name, packument(name, versions, url, tarballs))
  }
}

const config = (dir, port) => `
daemon off;
worker_processes auto;
${process.getuid() === 0 ? 'user root;' : ''}
pid ${dir}/nginx.pid;
error_log ${dir}/nginx.log;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${dir}/tmp; proxy_temp_path ${dir}/tmp; fastcgi_temp_path ${dir}/tmp;
  uwsgi_temp_path ${dir}/tmp; scgi_temp_path ${dir}/tmp;
  sendfile on; tcp_nodelay on;
  open_file_cache max=20000;
  map $http_accept $form { default full; ~npm\\.install-v1 short; }
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${dir}/leaf.pem; ssl_certificate_key ${dir}/leaf.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    location ~ "^/(?<scope>@[^/]+/)?[^/]+/-/(?<file>[^/]+\\.tgz)$" {
      root ${dir}/tarballs; default_type application/octet-stream; try_files /$scope$file =404;
    }
    location / {
      root ${dir}/packuments/$form; rewrite ^(.*)$ $1.json break; types { } default_type application/json;
      gzip_static always; gunzip on; add_header Cache-Control "public, max-age=300"; add_header Vary Accept;
    }
  }
}
`

async function freePort () {
  const s = net.createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => s.once('listening', resolve))
  const { port } = s.address()
  await new Promise(resolve => s.close(resolve))
  return port
}

async function answers (port, child) {
  for (;;) {
    if (child.exitCode !== null) throw new Error('nginx has ended')
    const open = await new Promise(resolve => {
      const s = net.connect(port, '127.0.0.1', () => { s.destroy(); resolve(true) })
      s.once('error', () => setTimeout(resolve, 10, false))
    })
    if (open) return
  }
}

const nextLine = stream => new Promise((resolve, reject) => {
  stream.once('data', d => resolve(String(d).trim()))
  stream.once('end', () => reject(new Error('delayproxy has ended')))
})

async function start ({ scratch, projects, tests, metadata }) {
  const dir = path.join(scratch, 'registry')
  fs.mkdirSync(path.join(dir, 'tmp'), { recursive: true })
  if (!metadata) run('node', [path.join(__dirname, '../tools/mirror.js'), path.join(dir, 'tarballs'), ...projects])
  makeCertificates(dir)
  const port = await freePort()
  fs.writeFileSync(path.join(dir, 'nginx.conf'), config(dir, port))
  const nginx = spawn(findNginx(), ['-e', `${dir}/nginx.log`, '-p', dir, '-c', `${dir}/nginx.conf`], { stdio: ['ignore', 'ignore', 'inherit'] })
  await answers(port, nginx)
  const proxy = spawn(path.join(tests, 'delayproxy'), [String(port)], { stdio: ['pipe', 'pipe', 'inherit'] })
  const url = `https://127.0.0.1:${await nextLine(proxy.stdout)}/`
  if (metadata) packuments.rebase(metadata, path.join(dir, 'packuments'), url)
  else writePackuments(projects, url, path.join(dir, 'tarballs'), path.join(dir, 'packuments'))
  return {
    url,
    ca: path.join(dir, 'ca.pem'),
    roundTrip: async ms => {
      const done = nextLine(proxy.stdout)
      proxy.stdin.write(`${ms}\n`)
      await done
    },
    stop: () => {
      proxy.stdin.end()
      nginx.kill('SIGTERM')
    }
  }
}

module.exports = { start }
