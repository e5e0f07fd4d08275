#!/usr/bin/env node
const { program } = require('commander');

program.name('mono-a').option('-n, --name <name>', 'whom to greet', 'world').parse();
console.log(`hello ${program.opts().name}`);
