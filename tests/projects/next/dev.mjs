// dev.mjs - starts `next dev`, asks for a page, ends it.
import assert from 'node:assert';
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';

const free = () => new Promise((done) => {
  const s = createServer().listen(0, '127.0.0.1', () => {
    const { port } = s.address();
    s.close(() => done(port));
  });
});
let next, port, said, ended;

// Somebody else may have taken the port meanwhile: then another.
async function start() {
  port = await free();
  said = '';
  next = spawn('node_modules/.bin/next', ['dev', '-H', '127.0.0.1', '-p', port], { detached: true });
  ended = new Promise((done) => next.on('exit', done));
  await new Promise((done, fail) => {
    const hear = (b) => {
      said += b;
      if (/Ready in/.test(said)) done();
    };
    next.stdout.on('data', hear);
    next.stderr.on('data', hear);
    next.on('exit', (code) => fail(new Error(`next dev ended with ${code}: ${said}`)));
  });
}

for (let i = 0; i < 5; i++) {
  try {
    await start();
    break;
  } catch (e) {
    if (i === 4 || !/EADDRINUSE/.test(said)) throw e;
  }
}
try {
  const r = await fetch(`http://127.0.0.1:${port}/about`);
  assert.equal(r.status, 200, said);
  assert.match(await r.text(), /<html/);
} finally {
  process.kill(-next.pid);
}
await ended.catch(() => {});
