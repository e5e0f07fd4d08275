// yarn_of_lock.js FOLDER NPM [OLDER]: writes FOLDER/yarn.lock (version 1) that pins what
// FOLDER/package-lock.json has, but for OLDER packages (default 12), always the same ones, that get
// an older version that still fits. NPM is npm's folder: addresses are at the hosts that npm's own
// reader takes for the registry, as is found there when this runs.
'use strict';
const fs = require('fs');
const path = require('path');
const [folder, npm, older = '12'] = process.argv.slice(2);
const semver = require(path.join(npm, 'node_modules/semver'));
const lock = JSON.parse(fs.readFileSync(path.join(folder, 'package-lock.json'), 'utf8')).packages;
const reader = fs.readFileSync(path.join(npm, 'node_modules/@npmcli/arborist/lib/shrinkwrap.js'), 'utf8');
const hosts = [...reader.matchAll(/RegRe = \/\^https\?:\\\/\\\/(.*?)\\\/\//g)].map((m) => 'https://' + m[1].replace(/\\/g, ''));
if (hosts.length !== 2) throw new Error('npm reads yarn.lock in another way');

const find = (from, name) => {
	for (let at = from;; at = at.replace(/(^|\/)node_modules\/(@[^/]+\/)?[^/]+$/, '')) {
		const key = (at ? at + '/' : '') + 'node_modules/' + name;
		if (lock[key]) return key;
		if (!at) return null;
		if (!at.includes('node_modules')) at = '';
		if (!at && lock['node_modules/' + name]) return 'node_modules/' + name;
		if (!at) return null;
	}
};
const entries = new Map(); // place -> specs
const from = new Map(); // spec -> place; the first counts, as the lock is by places
for (const [at, entry] of Object.entries(lock)) {
	const top = !at.includes('node_modules');
	for (const section of ['dependencies', 'optionalDependencies', ...(top ? ['devDependencies'] : [])])
		for (const [name, range] of Object.entries(entry[section] || {})) {
			const to = find(at, name), key = `${name}@${range}`;
			if (!to || lock[to].link || !lock[to].version || from.has(key)) continue;
			if (/^(file|link|git|http|workspace)/.test(range)) continue;
			from.set(key, to);
			if (!entries.has(to)) entries.set(to, []);
			entries.get(to).push(key);
		}
}
const quote = (s) => (/^[a-zA-Z][^:\s",[\]]*$/.test(s) && !/^(true|false)/.test(s) ? s : JSON.stringify(s));
const range_of = (key) => {
	const range = key.slice(key.indexOf('@', 1) + 1);
	return range.startsWith('npm:') ? range.slice(range.indexOf('@', 5) + 1) : range;
};

(async () => {
	let left = +older, n = 0;
	const blocks = [];
	for (const [place, keys] of entries) {
		const entry = lock[place];
		const name = entry.name || place.slice(place.lastIndexOf('node_modules/') + 13);
		let { version, integrity } = entry;
		if (left > 0 && n++ % 7 === 3) {
			const url = `${process.env.REGISTRY.replace(/\/$/, '')}/${name.replace('/', '%2f')}`;
			const all = (await (await fetch(url)).json()).versions || {};
			const fit = Object.keys(all).filter((v) => semver.lt(v, version) && !semver.prerelease(v) &&
				keys.every((k) => semver.satisfies(v, range_of(k), true)));
			if (fit.length) {
				version = fit.sort(semver.compare)[fit.length >> 1];
				integrity = all[version].dist.integrity;
				left--;
			}
		}
		const sha1 = '0123456789abcdef'.repeat(3).slice(0, 40);
		const address = `${hosts[blocks.length % 2]}/${name}/-/${name.split('/').pop()}-${version}.tgz#${sha1}`;
		blocks.push(`${keys.map(quote).join(', ')}:\n  version "${version}"\n  resolved "${address}"\n` +
			(integrity ? `  integrity ${integrity}\n` : ''));
	}
	fs.writeFileSync(path.join(folder, 'yarn.lock'), '# yarn lockfile v1\n\n\n' + blocks.join('\n'));
	console.log(`${entries.size} packages, ${from.size} demands, ${+older - left} of them older`);
})();
