// resolve_diff.js WHAT NPM-LOCK OUR-LOCK: compares entries; exit status 1 if any differs.
'use strict';
const fs = require('fs');
const [what, ...files] = process.argv.slice(2);
const [npm, ours] = files.map((f) => JSON.parse(fs.readFileSync(f, 'utf8')).packages);
const lines = [];
let places = 0, same = 0;

for (const key of new Set([...Object.keys(npm), ...Object.keys(ours)])) {
	const a = npm[key], b = ours[key];
	places++;
	if (!a) lines.push(`  only ours: ${key} ${b.version}`);
	else if (!b) lines.push(`  only npm's: ${key} ${a.version}`);
	else if (a.version !== b.version) lines.push(`  ${key}: npm ${a.version}, ours ${b.version}`);
	else if (JSON.stringify(a) !== JSON.stringify(b)) lines.push(`  ${key}: npm ${JSON.stringify(a)}\n    ours ${JSON.stringify(b)}`);
	else same++;
}
console.log(`${what}: ${same} of ${places} entries the same`);
if (lines.length) console.log(lines.slice(0, 20).join('\n'));
process.exit(lines.length ? 1 : 0);
