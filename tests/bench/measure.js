// measure.js - what the benchmarks have in common: folders of their own, times, medians, lines.
'use strict'
const fs = require('fs')
const os = require('os')
const path = require('path')

// The environment, with everything that dxfs and npm keep below `scratch`; the user's .npmrc counts.
function environment (scratch) {
  const env = {
    ...process.env,
    HOME: path.join(scratch, 'home'),
    XDG_STATE_HOME: path.join(scratch, 'state'),
    XDG_DATA_HOME: path.join(scratch, 'data'),
    XDG_CACHE_HOME: path.join(scratch, 'cache'),
    DX_STORE: path.join(scratch, 'store'),
    npm_config_userconfig: path.join(os.homedir(), '.npmrc')
  }
  fs.mkdirSync(env.HOME, { recursive: true })
  return env
}

// How many milliseconds fn() takes.
function ms (fn) {
  const t = process.hrtime.bigint()
  fn()
  return Number(process.hrtime.bigint() - t) / 1e6
}
const median = a => [...a].sort((x, y) => x - y)[Math.floor(a.length / 2)]
const show = (name, value, unit) => console.log(`${name} ${typeof value === 'number' ? +value.toPrecision(4) : value} ${unit}`)

module.exports = { environment, median, ms, show }
