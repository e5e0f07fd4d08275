// hostile.js - a registry that says too much; prints its port. By name:
//   huge    a packument that never ends
//   large   one of 200 MiB, 100,000 versions, each of which depends on the one before
//   many    one of more versions than there may be
//   list    versions with endless lists of dependencies, and one without
'use strict';
const http = require('http');

function* versions(count, more) {
	for (let i = 1; i <= count; i++) yield `${i > 1 ? ',' : ''}"${i}.0.0":{"name":"x","version":"${i}.0.0"${more(i)}}`;
}
const pad = 'x'.repeat(2000);
const list = `{${Array.from({ length: 200000 }, (_, i) => `"dep-${i}":"*"`).join(',')}}`;
const bodies = {
	huge: () => versions(Infinity, () => `,"description":"${pad}"`),
	large: () => versions(100000, (i) => `,"dependencies":{"large":"${i - 1}.0.0"},"description":"${pad}"`),
	many: () => versions(100001, () => ''),
	list: () => versions(10, (i) => (i === 1 ? '' : `,"optionalDependencies":${list},"peerDependencies":${list},"peerDependenciesMeta":${list}`)),
};

http.createServer((request, response) => {
	const name = request.url.slice(1), body = bodies[name] && bodies[name]();
	let text = `{"name":"${name}","versions":{`;
	const push = () => {
		for (let more = true; more;) {
			while (text.length < 1 << 16) {
				const { value, done } = body.next();

				if (done) return response.end(`${text}}}`);
				text += value;
			}
			more = response.write(text);
			text = '';
		}
		response.once('drain', push);
	};

	response.writeHead(body ? 200 : 404, { 'content-type': 'application/json' });
	response.on('error', () => {});
	if (body) push();
	else response.end('{}');
}).listen(0, '127.0.0.1', function () { console.log(this.address().port); });
