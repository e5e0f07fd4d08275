const _ = require('lodash');
const express = require('express');

const app = express();

app.get('/sum/:numbers', (req, res) => {
	res.json({ sum: _.sum(req.params.numbers.split(',').map(Number)) });
});

module.exports = app;
