// client.mjs - is the generated client there, of this schema?
import assert from 'node:assert';
import fs from 'node:fs';
import { Prisma } from '@prisma/client';

assert.deepEqual(Object.values(Prisma.UserScalarFieldEnum), ['id', 'name']);
assert.match(fs.readFileSync('node_modules/.prisma/client/index.d.ts', 'utf8'), /export type User\b/);
