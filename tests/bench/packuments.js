// packuments.js - a registry's metadata as files: full and abbreviated, gzipped, for nginx to serve.
//
//   const filling = await packuments.fill({ from, dir })
//   filling.url                   http://127.0.0.1:PORT/, to resolve against with every tool once
//   filling.stop()
//   packuments.write(dir, name, packument)
//   packuments.rebase(dir, to, url)
//
// While it fills it is a registry that asks the real one, `from`, for what `dir` lacks, and keeps
// it. What is kept has BASE for the registry's URL; rebase() puts the URL that is to be there.
'use strict'
const fs = require('fs')
const http = require('http')
const path = require('path')
const zlib = require('zlib')

const BASE = 'http://registry.test/'
const forms = { full: p => p, short: abbreviated }

// The members that npm's documentation of the abbreviated form names.
const ofPackage = ['name', 'dist-tags', 'modified']
const ofVersion = ['name', 'version', 'deprecated', 'dependencies', 'optionalDependencies', 'devDependencies',
  'bundleDependencies', 'bundledDependencies', 'peerDependencies', 'peerDependenciesMeta', 'acceptDependencies', 'bin',
  'directories', 'dist', 'engines', 'cpu', 'os', 'libc', 'hasInstallScript', '_hasShrinkwrap', 'funding']
const only = (o, members) => Object.fromEntries(members.filter(k => o[k] !== undefined).map(k => [k, o[k]]))

function abbreviated (p) {
  const versions = Object.entries(p.versions || {}).map(([v, m]) => {
    const short = only(m, ofVersion)
    const { preinstall, install, postinstall } = m.scripts || {}
    if (preinstall || install || postinstall) short.hasInstallScript = true
    return [v, short]
  })
  return { ...only({ modified: p.time && p.time.modified, ...p }, ofPackage), versions: Object.fromEntries(versions) }
}

const fileOf = (dir, form, name) => path.join(dir, form, `${name}.json.gz`)

function put (file, text) {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(`${file}.tmp`, zlib.gzipSync(text))
  fs.renameSync(`${file}.tmp`, file)
}

function write (dir, name, packument) {
  for (const [form, made] of Object.entries(forms)) put(fileOf(dir, form, name), JSON.stringify(made(packument)))
}

async function fetched (from, name) {
  const r = await fetch(from + name.replace('/', '%2f'), { headers: { accept: 'application/json' } })
  if (!r.ok) return { status: r.status }
  const p = await r.json()
  for (const m of Object.values(p.versions || {})) {
    if (m.dist && m.dist.tarball) m.dist.tarball = m.dist.tarball.replace(from, BASE)
  }
  return { status: 200, packument: p }
}

async function answer (from, dir, wanted, request, response) {
  const name = decodeURIComponent(request.url.slice(1).split('?')[0])
  const form = /npm\.install-v1/.test(request.headers.accept || '') ? 'short' : 'full'
  const file = fileOf(dir, form, name)
  if (!/^(@[^/]+\/)?[^/]+$/.test(name) || name.startsWith('-')) return response.writeHead(404).end()
  if (!fs.existsSync(file)) {
    wanted[name] ??= fetched(from, name)
    const got = await wanted[name]
    if (!got.packument) return response.writeHead(got.status, { 'content-type': 'application/json' }).end('{}')
    if (!fs.existsSync(file)) write(dir, name, got.packument)
    delete got.packument
    delete wanted[name]
  }
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'public, max-age=300' })
  response.end(zlib.gunzipSync(fs.readFileSync(file)))
}

async function fill ({ from, dir }) {
  const wanted = {}
  const server = http.createServer((request, response) => {
    answer(from, dir, wanted, request, response).catch(e => response.writeHead(502).end(String(e)))
  }).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  return { url: `http://127.0.0.1:${server.address().port}/`, stop: () => server.close() }
}

function rebase (dir, to, url) {
  for (const file of fs.readdirSync(dir, { recursive: true })) {
    if (!file.endsWith('.json.gz')) continue
    const text = zlib.gunzipSync(fs.readFileSync(path.join(dir, file))).toString()
    put(path.join(to, file), text.replaceAll(BASE, url))
  }
}

module.exports = { fill, write, rebase }
