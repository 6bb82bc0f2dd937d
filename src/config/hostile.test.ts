import { expect, test } from 'vitest';
import { ConfigError } from '../errors.ts';
import { hashKey, RandomStream } from '../util/index.ts';
import { parseConfig } from './index.ts';

const seeds = [
  'model_name_or_path: a\nlora_target: [q, v]\nlr_scheduler_kwargs: {power: 2}\nval_size: 0.1\nreport_to: none\n',
  '{"lora_rank": 8, "dataset": ["a", "b"], "resume_from_checkpoint": "x", "memory_limit": "8GB"}',
  'a: &a [1, 2]\nb: *a\n? [c]\n: d\ntrain_sampling_strategy: random\noptim: sgd\n!!int e: 5\n<<: *a\n',
];
const alphabet = ':{}[]&*!|>%@`"\'#,?-~ \n\t\u0000\uFEFF\u2028\uD83D0123456789.eE+-_nullTrueyesno';

test('mutated files end in a configuration or a ConfigError of at most 15 lines, and nothing else', () => {
  const random = new RandomStream(hashKey('hostile configurations'));
  for (let round = 0; round < 400; round++) {
    const text = seeds[random.nextInt(seeds.length)]!.split('');
    for (let edit = random.nextInt(8); edit >= 0; edit--) {
      const insert = Array.from({ length: random.nextInt(4) }, () => alphabet[random.nextInt(alphabet.length)]!);
      text.splice(random.nextInt(text.length + 1), random.nextInt(4), ...insert);
    }
    const override = `lr_scheduler_kwargs.power=${alphabet.slice(random.nextInt(40))}`;
    try {
      parseConfig(text.join(''), 'a.yaml', { overrides: random.nextInt(2) === 0 ? [] : [override] });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw new Error(JSON.stringify(text.join('')), { cause: error });
      expect(error.message.split('\n').length).toBeLessThanOrEqual(15);
    }
  }
});
