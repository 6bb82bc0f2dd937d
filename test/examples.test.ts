import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commands } from '../src/cli/commands.ts';
import { readConfig } from '../src/index.ts';

const root = join(import.meta.dirname, '..');
const examples = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.yaml'));

/** Configurations of the whole recipes, each in a folder of its own; a template is none. */
const recipes = readdirSync(join(root, 'examples'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .flatMap(({ name }) => readdirSync(join(root, 'examples', name)).map((file) => `${name}/${file}`))
  .filter((file) => file.endsWith('.yaml') && !file.endsWith('/template.yaml'));

describe('examples', () => {
  it.each(recipes)('%s is a configuration without notices that its README names', async (file) => {
    expect(readConfig(join(root, 'examples', file)).notices).toEqual([]);
    const text = await readFile(join(root, 'examples', file, '../README.md'), 'utf8');
    expect(text).toContain(`examples/${file}`);
  });
  it.each(examples)('%s is a configuration without notices and starts from what is shipped', (name) => {
    const { config, notices } = readConfig(join(root, 'examples', name));
    expect(notices).toEqual([]);
    expect(config.model_name_or_path).toBe('assets/demo/model');
  });
  it('are all named in the readmes or by one another, with a command that exists', async () => {
    const texts = await Promise.all(
      ['README.md', 'README.zh.md', ...examples.map((name) => `examples/${name}`)].map((name) =>
        readFile(join(root, name), 'utf8'),
      ),
    );
    const named = new Set(texts.join('\n').match(/npx fettle \w+ examples\/[\w-]+\.yaml/g));
    for (const name of examples) {
      expect([...named].some((line) => line.endsWith(`/${name}`))).toBe(true);
    }
    const names = commands.map(({ name }) => name);
    for (const line of named) expect(names).toContain(line.split(' ')[2]);
  });
});
