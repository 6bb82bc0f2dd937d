import { expect, test } from 'vitest';
import { parseConfig } from './load.ts';

const judged = 'judge: {provider: openai, model: gpt-4o}\n';

function problems(text: string, overrides: readonly string[] = []): string[] {
  try {
    parseConfig(text, 'pk.yaml', { overrides });
    return [];
  } catch (error) {
    return (error as Error).message.split('\n');
  }
}

test('systems keep their order and are reached by dots; what they leave out is left out', () => {
  const text = `${judged}systems:\n  tuned: {adapter_name_or_path: saves/a}\n  base: {}\n  served: {base_url: http://127.0.0.1:1/v1, model: m, extra: {top_k: 5, nested: [1, yes]}}\n`;
  const { config } = parseConfig(text, 'pk.yaml', {
    overrides: [
      'systems.base.model_name_or_path=m',
      'systems.served.concurrency=3',
      'judge.price.input=1',
      'judge.price.output=2.5',
    ],
  });
  expect(Object.entries(config.systems!)).toEqual([
    ['tuned', { adapter_name_or_path: ['saves/a'] }],
    ['base', { model_name_or_path: 'm' }],
    [
      'served',
      { base_url: 'http://127.0.0.1:1/v1', model: 'm', extra: { top_k: 5, nested: [1, 'yes'] }, concurrency: 3 },
    ],
  ]);
  expect(config.judge).toEqual({ provider: 'openai', model: 'gpt-4o', price: { input: 1, output: 2.5 } });
});

test('what is wrong is named with its path and its line', () => {
  expect(problems('systems:\n  a: {}\n')).toEqual([
    'pk.yaml:2:3: systems must be a mapping of two names or more, got {"a":{}}',
  ]);
  expect(problems('systems: {a: {}, 1b: {}}')).toEqual([
    expect.stringMatching(/^pk\.yaml:1:10: systems must be a mapping whose names begin with a letter/),
  ]);
  expect(problems('systems: {a: {modle: x}, b: {}}')).toEqual([
    'pk.yaml:1:10: unknown key "systems.a.modle". Did you mean "systems.a.model"?',
  ]);
  expect(problems('systems: {a: {concurrency: many}, b: {}}')).toEqual([
    'pk.yaml:1:10: systems.a.concurrency must be a whole number, at least 1 and at most 1024, got "many"',
  ]);
  expect(problems('systems: [a, b]')).toEqual([
    expect.stringMatching(
      /^pk\.yaml:1:10: systems must be a mapping of names, each to a mapping with the keys model_name_or_path, /,
    ),
  ]);
  expect(problems('judge: {api_key: sk-secret}').join()).not.toContain('sk-secret');
});

test('a participant is of one kind, and a server has a model and an address', () => {
  expect(
    problems(
      'systems:\n  a: {answers: a.jsonl, model: m}\n  b: {model: m}\njudge: {provider: openai, base_url: "http://x"}\n',
    ),
  ).toEqual([
    'pk.yaml:2:3: systems.a.model cannot stand together with systems.a.answers',
    'pk.yaml:2:3: systems.b.model needs systems.b.base_url or systems.b.provider, got neither',
    'pk.yaml:4:8: judge.provider needs judge.model, got none',
  ]);
});
