// watch.mjs - chokidar and fs.watch hear of what is done below node_modules: a package's file
// edited, one made, one removed, one in a folder that was just made.
import assert from 'node:assert';
import fs from 'node:fs';
import chokidar from 'chokidar';

const top = 'node_modules/readdirp';
const heard = [];
let wake = () => {};
const watcher = chokidar.watch(top, { ignoreInitial: true });
watcher.on('all', (event, path) => {
  heard.push(`${event} ${path.slice(top.length + 1)}`);
  wake();
});
await new Promise((done) => watcher.on('ready', done));
const plain = fs.watch(top);

async function expect(event, act) {
  const deadline = setTimeout(() => {
    console.error(`did not hear "${event}", only: ${heard.join(', ')}`);
    process.exit(1);
  }, 300000);
  act();
  while (!heard.includes(event)) await new Promise((done) => (wake = done));
  clearTimeout(deadline);
}

const seen = new Promise((done) => plain.on('change', (type, name) => name === 'README.md' && done(type)));
await expect('change README.md', () => fs.appendFileSync(`${top}/README.md`, 'edited\n'));
assert(['change', 'rename'].includes(await seen));
await expect('add new.js', () => fs.writeFileSync(`${top}/new.js`, '1\n'));
await expect('change new.js', () => fs.writeFileSync(`${top}/new.js`, '22\n'));
await expect('unlink new.js', () => fs.unlinkSync(`${top}/new.js`));
await expect('add made/a.js', () => {
  fs.mkdirSync(`${top}/made`);
  fs.writeFileSync(`${top}/made/a.js`, 'a\n');
});
await expect('unlink LICENSE', () => fs.renameSync(`${top}/LICENSE`, `${top}/LICENCE`));
await expect('add LICENCE', () => {});
plain.close();
await watcher.close();
