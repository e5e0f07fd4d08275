// as_npm.js FOLDER-OF-NPM - runs npm's commands one after another in one process, since starting it
// takes longer than they do. Standard input: lines of a folder and arguments, with tabs between. For
// each a line on standard output: "=> ", 0 or 1, and the folder.
'use strict';
const fs = require('fs');
const path = require('path');

const npm = process.argv[2];
const Npm = require(path.join(npm, 'lib/npm.js'));
const environment = { ...process.env };

async function run(folder, args) {
	// npm leaves its settings in the environment.
	for (const key of Object.keys(process.env))
		delete process.env[key];
	Object.assign(process.env, environment);
	process.chdir(folder);
	process.argv = [process.execPath, path.join(npm, 'bin/npm-cli.js'), ...args];
	const it = new Npm();
	const { exec, command, args: rest } = await it.load();
	if (exec)
		await it.exec(command, rest);
	it.unload();
}

(async () => {
	const said = process.stdout.write.bind(process.stdout);
	for (const line of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
		const [folder, ...args] = line.split('\t');
		const ok = await run(folder, args).then(() => true, (e) => {
			process.stderr.write(`${line}: ${e.message}\n`);
			return false;
		});
		process.exitCode = 0;
		said(`=> ${ok ? 0 : 1} ${folder}\n`);
	}
})();
