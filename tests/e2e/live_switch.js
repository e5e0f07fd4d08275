// live_switch.js DIR LIVE TWO COUNT - switches the mounted project of the current folder COUNT times
// between the branches TWO/a and TWO/b (tests/fixtures/live.js), b first. After each switch all of
// it must be what that branch says (LIVE is tests/tools/live). Every fifth time it waits until the
// mount has noticed by itself, otherwise it asks it to look. DIR is the mount's state. Prints at the
// end, as JSON: of the first half and of the second, the daemon's memory, descriptors, threads and
// slots.
'use strict';
const { spawnSync } = require('child_process');
const fs = require('fs');
const net = require('net');
const path = require('path');

const [dir, live, two, count] = process.argv.slice(2);
const cwd = process.cwd();

function ask(request) {
	return new Promise((resolve, reject) => {
		let answer = '';
		// A socket's path must be short.
		process.chdir(dir);
		const s = net.connect('ctl', () => s.write(request + '\n'));

		process.chdir(cwd);
		s.setEncoding('utf8').on('data', (d) => (answer += d)).on('error', reject);
		s.on('end', () => (answer.startsWith('ok\n') ? resolve(answer.slice(3)) : reject(new Error(answer))));
	});
}

const status = async () => [JSON.parse(await ask('status'))].flat()[0];

function sizes({ pid, rss_kb }) {
	const of = (name) => fs.readdirSync(`/proc/${pid}/${name}`).length;

	return { rss_kb, fds: of('fd'), threads: of('task'), slots: fs.statSync(path.join(dir, 'slots')).size };
}

// Both files at once, or as near to it as files can.
function put(side) {
	for (const f of ['package.json', 'package-lock.json']) {
		fs.copyFileSync(path.join(two, side, f), `.${f}.new`);
		fs.renameSync(`.${f}.new`, f);
	}
}

async function noticed(generation) {
	const end = Date.now() + 120000;

	while ((await status()).generation === generation)
		if (Date.now() > end) throw new Error(`it has not noticed: ${JSON.stringify((await status()).errors)}`);
		else await new Promise((r) => setTimeout(r, 5));
}

(async () => {
	const at = {};

	for (let i = 1; i <= Number(count); i++) {
		const [side, other] = i % 2 ? ['b', 'a'] : ['a', 'b'];
		const { generation } = await status();

		put(side);
		await (i % 5 === 0 ? noticed(generation) : ask('relock'));
		const r = spawnSync(live, ['now', 'node_modules', `${two}/${side}.set`, `${two}/${other}.set`], { encoding: 'utf8' });

		if (r.status !== 0) throw new Error(`after switch ${i}, to ${side}:\n${r.stdout}${r.stderr}`);
		if (i === Math.ceil(Number(count) / 2)) at.half = sizes(await status());
	}
	at.end = sizes(await status());
	console.log(JSON.stringify(at));
})().catch((e) => {
	console.error(e.message);
	process.exitCode = 1;
});
