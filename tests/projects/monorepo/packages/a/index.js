const chalk = require('chalk');
const semver = require('semver');

exports.versions = { chalk: typeof chalk.green, semver: semver.SEMVER_SPEC_VERSION, at: require('semver/package.json').version };
