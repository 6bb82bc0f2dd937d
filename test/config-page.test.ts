import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { configPage } from '../scripts/config-reference.ts';

test('docs/config.md is what the schema says (npx tsx scripts/config-reference.ts writes it)', () => {
  expect(readFileSync(new URL('../docs/config.md', import.meta.url), 'utf8')).toBe(configPage());
});
