import { expect, test } from 'vitest';

import { plural } from './plural.js';

test('one is one', () => expect(plural(1, 'click')).toBe('1 click'));
test('more are more', () => expect(plural(2, 'click')).toBe('2 clicks'));
