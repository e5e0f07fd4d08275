// resolve_change.js N FOLDER: the Nth change of a project's package.json, always the same one:
// a direct dependency is removed, loosened to any version of its major or one before it, or moved
// to where another one was; says what was done.
'use strict';
const fs = require('fs');
const path = require('path');
const n = +process.argv[2];
const file = path.join(process.argv[3], 'package.json');
const text = fs.readFileSync(file, 'utf8');
const pkg = JSON.parse(text);
const lock = JSON.parse(fs.readFileSync(path.join(process.argv[3], 'package-lock.json'), 'utf8')).packages;
const all = [];
for (const section of ['dependencies', 'devDependencies'])
	for (const name of Object.keys(pkg[section] || {})) all.push([section, name]);
let seed = n * 2654435761 + text.length;
const random = (k) => {
	seed = (seed * 1103515245 + 12345) % 2147483648;
	return Math.floor(seed / 65536) % k;
};
const [section, name] = all[random(all.length)];
const version = (lock['node_modules/' + name] || {}).version || '1.0.0';
const major = +version.split('.')[0];
let said;
switch (random(4)) {
case 0:
	delete pkg[section][name];
	said = `without ${name}`;
	break;
case 1:
	pkg[section][name] = major > 1 ? `^${major - 1}` : '*';
	said = `${name} ${pkg[section][name]}`;
	break;
case 2:
	pkg[section][name] = 'latest';
	said = `${name} latest`;
	break;
default: {
	const deep = Object.keys(lock).filter((k) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(k) && lock[k].version && !lock[k].link);
	const other = deep[random(deep.length)].slice(13);
	const have = lock['node_modules/' + other];
	pkg[section][other] = have.name ? `npm:${have.name}@*` : random(2) ? '*' : `^${have.version}`;
	said = `with ${other} ${pkg[section][other]}`;
}
}
fs.writeFileSync(file, JSON.stringify(pkg, null, 2) + '\n');
console.log(said);
