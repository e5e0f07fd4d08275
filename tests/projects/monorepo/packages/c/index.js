const b = require('@mono/b');
const _ = require('lodash');

console.log(JSON.stringify({ a: b.a.at, b: b.at, keys: _.keys(b) }));
