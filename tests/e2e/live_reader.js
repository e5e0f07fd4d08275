// live_reader.js STOP - requires modules of the project's folder while branches are switched
// (tests/fixtures/live.js), in new processes and in this one, until the file STOP is there. Each
// module says whose it is, at both ends; what both branches have is there.
'use strict';
const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const [stop] = process.argv.slice(2);
const both = ['big-moves', 'big-moves/large.js', 'big-stays/large.js', '@both/moves', 'stays', 'bundles'];
const one = ['goes', '@only-a/one', '@only-b/one', 'stays/node_modules/inner'];

function look(name, mayLack) {
	try {
		const file = require.resolve(name, { paths: [process.cwd()] });

		delete require.cache[file];
		const { id } = require(file);
		const first = fs.readFileSync(file, 'utf8').slice(2, 60).split(' ')[0];

		if (!/^(@[\w-]+\/)?[\w-]+@\d\.0\.0$/.test(id)) throw new Error(`${name}: ${id}`);
		if (first !== id && name.includes('stays')) throw new Error(`${name}: ${id}, ${first}`);
		return 1;
	} catch (e) {
		// Between finding and reading it, a name may go.
		if (mayLack && (e.code === 'MODULE_NOT_FOUND' || e.code === 'ENOENT')) return 0;
		throw e;
	}
}

let looks = 0;

while (!fs.existsSync(stop)) {
	// What node knows of folders and package.json is for good.
	const r = spawnSync(process.execPath, ['-e', `for (const m of ${JSON.stringify(both)}) require(m)`], { cwd: process.cwd(), encoding: 'utf8' });

	if (r.status !== 0) throw new Error(r.stderr);
	for (const m of both) looks += look(m, false);
	for (const m of one) looks += look(path.join(process.cwd(), 'node_modules', m), true);
}
console.log(`modules: ${looks} looks`);
