// net_predict.js - net.js's section `predict`: what prediction is worth, and what it wastes.
//
// Cold first runs with --prefetch=none, with predictions from the lock's edges alone, and with a
// model learned on other runs of the same tools in other projects. Those projects are made here:
// their locks come from the registry that npm is configured for, with other versions than the
// projects that are measured (which it has never seen). Of each: the time that requests waited for
// packages, the program's wall time, and how many of the bytes fetched ahead nobody used.
'use strict'
const fs = require('fs')
const path = require('path')
const { spawnSync } = require('child_process')

// What is learned from: dependencies, and what is run; in a project of its own each.
const lessons = [
  { deps: ['jest@29', 'left-pad'], argv: ['node_modules/.bin/jest', '--version'] },
  { deps: ['jest@28', 'ts-jest@28', 'typescript@4'], argv: ['node_modules/.bin/jest', '--version'] },
  { deps: ['express@4.18.2', 'body-parser@1'], argv: ['node', '-e', 'require("express")'] },
  { deps: ['express@4.17.1', 'morgan@1'], argv: ['node', '-e', 'require("morgan");require("express")'] },
  {
    deps: ['vite@4.4', '@vitejs/plugin-react@4.2', 'vitest@0.33', 'react@18', 'react-dom@18', 'typescript@5.3', 'eslint@8.40'],
    argv: ['node_modules/.bin/vite', 'build'],
    files: {
      'index.html': '<div id="root"></div><script type="module" src="/main.jsx"></script>\n',
      'main.jsx': 'import { createRoot } from "react-dom/client"\ncreateRoot(document.getElementById("root")).render(<p>hello</p>)\n',
      'vite.config.mjs': 'import react from "@vitejs/plugin-react"\nimport { defineConfig } from "vitest/config"\nexport default defineConfig({ plugins: [react()] })\n'
    }
  },
  {
    deps: ['webpack@5.88', 'html-webpack-plugin@5.5', 'terser@5.20', 'postcss@8.4.20', 'lodash@4'],
    argv: ['node', '-e', 'require("webpack");require("html-webpack-plugin");require("terser");require("postcss")']
  },
  {
    deps: ['@babel/core@7.20', 'eslint@8.40', 'typescript@4.9', 'workbox-build@6.5', 'rollup@2.70', 'jest-cli@28', 'react-dom@17', 'react@17'],
    argv: ['node', '-e', 'require("@babel/core");require("eslint");require("workbox-build");require("rollup");require("jest-cli")']
  }
]

function learn (net, store) {
  const env = { ...net.newHome(''), DX_STORE: store }
  for (const [i, lesson] of lessons.entries()) {
    const dir = path.join(net.scratch, 'lessons', String(i))
    const files = { 'package.json': '{"name":"lesson","version":"1.0.0"}\n', ...lesson.files }
    fs.mkdirSync(dir, { recursive: true })
    for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(dir, name), text)
    net.timed(['npm', 'install', '--package-lock-only', '--ignore-scripts', '--no-audit', '--no-fund', ...lesson.deps], dir, env)
    net.timed([net.dxfs, 'mount', '--prefetch=none', 'node_modules'], dir, env)
    try {
      net.timed(lesson.argv, dir, env)
    } finally {
      spawnSync(net.dxfs, ['unmount', 'node_modules'], { cwd: dir, env })
    }
  }
}

// Only what was learned goes into the new home's store: no package.
function coldRun (net, program, dir, ca, prefetch, learned) {
  const env = net.newHome(ca)
  fs.mkdirSync(env.DX_STORE, { mode: 0o700 })
  if (learned) fs.copyFileSync(path.join(learned, 'predict'), path.join(env.DX_STORE, 'predict'))
  fs.rmSync(path.join(dir, 'node_modules'), { recursive: true, force: true })
  net.settle()
  try {
    net.timed([net.dxfs, 'mount', `--prefetch=${prefetch}`, 'node_modules'], dir, env)
    const wall = net.timed(program.argv, dir, env)
    const r = spawnSync(net.dxfs, ['status', '--json', 'node_modules'], { cwd: dir, env, encoding: 'utf8' })
    const st = JSON.parse(r.stdout)
    const bytes = JSON.parse(spawnSync(net.dx, ['store', 'stats', '--json'], { cwd: dir, env, encoding: 'utf8' }).stdout).bytes
    return { wall, parked: st.parked_ms, local: st.packages.local, ...st.prediction, waste: 100 * st.prediction.bytes_in_vain / bytes }
  } finally {
    spawnSync(net.dxfs, ['unmount', 'node_modules'], { cwd: dir, env })
  }
}

async function bench (net, registry) {
  const store = path.join(net.scratch, 'learned')
  learn(net, store)
  const modes = { none: ['none', ''], edges: ['predicted', ''], learned: ['predicted', store] }
  await registry.roundTrip(20)
  for (const [label, program] of Object.entries(net.programs)) {
    const dir = net.prepare(program.in, `predict-${label}`, registry.url, registry.ca)('dx')
    const parked = {}
    for (const [mode, [prefetch, learned]] of Object.entries(modes)) {
      const got = []
      for (let i = 0; i < net.runs; i++) got.push(coldRun(net, program, dir, registry.ca, prefetch, learned))
      const of = f => net.median(got.map(f))
      parked[mode] = of(r => r.parked)
      net.show(`predict-${label}-${mode}-parked`, parked[mode], 'ms')
      net.show(`predict-${label}-${mode}-wall`, of(r => r.wall), 'ms')
      net.show(`predict-${label}-${mode}-packages`, of(r => r.local), `(${of(r => r.made)} predicted, ${of(r => r.used)} of them used)`)
      if (mode !== 'none') net.show(`predict-${label}-${mode}-waste`, of(r => r.waste), '% of the bytes that came')
    }
    net.show(`predict-${label}-learned-to-edges`, parked.learned / parked.edges, 'x')
  }
  await registry.roundTrip(0)
}

module.exports = { bench }
