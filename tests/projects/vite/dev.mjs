// dev.mjs first|again - starts the dev server, asks it for a page, a module and a dependency that
// it bundled, stops it. The second time it must take the bundles that the first left in
// node_modules/.vite, not make them anew.
import assert from 'node:assert';
import fs from 'node:fs';
import { createServer } from 'vite';

const note = 'first-run.json';
const meta = 'node_modules/.vite/deps/_metadata.json';
const server = await createServer({ server: { host: '127.0.0.1', port: 0 }, logLevel: 'warn', clearScreen: false });
await server.listen();
const base = `http://127.0.0.1:${server.httpServer.address().port}`;
const get = async (path) => {
  const r = await fetch(base + path);
  assert.equal(r.status, 200, path);
  return r.text();
};
assert.match(await get('/'), /src\/main\.tsx/);
const dep = /["'](\/node_modules\/\.vite\/deps\/react[^"']*)["']/.exec(await get('/src/main.tsx'));
assert(dep, 'react comes from the cache');
assert.match(await get(dep[1]), /export/);
const { browserHash } = JSON.parse(fs.readFileSync(meta, 'utf8'));
const run = { browserHash, mtime: fs.statSync(meta, { bigint: true }).mtimeNs.toString() };
await server.close();
if (process.argv[2] === 'first') fs.writeFileSync(note, JSON.stringify(run));
else {
  assert(dep[1].endsWith(browserHash), dep[1]);
  assert.deepEqual(run, JSON.parse(fs.readFileSync(note, 'utf8')), 'the bundles were made anew');
}
