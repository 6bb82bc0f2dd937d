/**
 * Divides DialogSum into the files that this example trains, checks and judges on.
 * `npx tsx examples/dialogsum/make-data.ts DIALOGSUM saves/dialogsum/data`
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [source, target] = process.argv.slice(2);
if (source === undefined || target === undefined)
  throw new Error('make-data.ts: give the folder of DialogSum, and where to write');
mkdirSync(target, { recursive: true });

interface Row {
  readonly dialogue: string;
  readonly summary?: string;
  /** The test set has three summaries of each dialogue. */
  readonly summary1?: string;
}

const info: Record<string, unknown> = {};
for (const [name, part] of [
  ['train', 'train'],
  ['validation', 'dev'],
  ['test', 'test'],
]) {
  const file = readdirSync(source).find((each) => each.startsWith(`dialogsum.${part}.`) && each.endsWith('.jsonl'));
  if (file === undefined) throw new Error(`${source}: dialogsum.${part}.jsonl must be there`);
  const rows = readFileSync(join(source, file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)
    .map(({ dialogue, summary, summary1 }) => ({ dialogue, summary: summary ?? summary1! }));
  writeFileSync(join(target, `${name}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  info[name!] = { file_name: `${name}.jsonl`, columns: { prompt: 'dialogue', response: 'summary' } };
  console.log(`${name}: ${rows.length} dialogues`);
}
writeFileSync(join(target, 'dataset_info.json'), `${JSON.stringify(info, null, 2)}\n`);
