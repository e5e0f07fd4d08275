// A web server that counts its visitors. PORT=0 takes any free port; ONCE=1 asks itself once
// and leaves, which is how quickstart.sh shows that everything was found.
const express = require('express');
const { nanoid } = require('nanoid');

const app = express();
let visits = 0;

app.get('/', (req, res) => {
	visits += 1;
	res.json({ hello: 'from node_modules', visit: visits, id: nanoid() });
});

const server = app.listen(process.env.PORT || 0, '127.0.0.1', async () => {
	const url = `http://127.0.0.1:${server.address().port}/`;

	console.log(`listening on ${url}`);
	if (process.env.ONCE) {
		console.log(await (await fetch(url)).text());
		server.closeAllConnections();
		server.close();
	}
});
