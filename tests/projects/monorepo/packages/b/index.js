exports.a = require('@mono/a').versions;
exports.at = require('semver/package.json').version;
