// mirror.js OUT PROJECT... - what the projects' package-lock.json name, taken from npm's own cache
// (fill it with `npm ci`) into OUT as a folder for test-registry: real packages, at any speed, with
// any fault, and no network. Says what the cache lacks, and then ends with status 1.
'use strict';
const { execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const [out, ...projects] = process.argv.slice(2);
if (!projects.length) {
	console.error('usage: mirror.js OUT PROJECT...');
	process.exit(2);
}
const cache = path.join(execFileSync('npm', ['config', 'get', 'cache'], { encoding: 'utf8' }).trim(), '_cacache', 'content-v2');

function content(integrity) {
	const [alg, b64] = integrity.split(' ').pop().split('-');
	const hex = Buffer.from(b64, 'base64').toString('hex');

	return path.join(cache, alg, hex.slice(0, 2), hex.slice(2, 4), hex.slice(4));
}

let count = 0, missing = 0;
for (const project of projects) {
	const lock = JSON.parse(fs.readFileSync(path.join(project, 'package-lock.json'), 'utf8'));

	for (const [place, e] of Object.entries(lock.packages || {})) {
		if (!place.includes('node_modules/') || e.link || e.inBundle || !e.integrity) continue;
		const name = e.name || place.split('node_modules/').pop();
		const to = path.join(out, path.dirname(name), `${path.basename(name)}-${e.version}.tgz`);

		if (fs.existsSync(to)) continue;
		fs.mkdirSync(path.dirname(to), { recursive: true });
		try {
			fs.copyFileSync(content(e.integrity), to);
			count += 1;
		} catch (err) {
			if (!e.optional) {
				console.error(`not in npm's cache: ${name}@${e.version}`);
				missing += 1;
			}
		}
	}
}
console.log(`${count} tarballs`);
process.exitCode = missing ? 1 : 0;
