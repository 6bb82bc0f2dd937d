import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigError } from '../errors.ts';
import { call } from './command-line.fixture.ts';
import { processorFlags } from './commands/doctor.ts';
import { commands } from './commands.ts';
import { describeFailure } from './failure.ts';
import { Terminal } from './terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'fettle-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('help', () => {
  test('names each command on a line of its own', async () => {
    const { code, out } = await call('--help');
    expect(code).toBe(0);
    for (const { name, summary } of commands) {
      expect(out.split('\n').filter((line) => line.startsWith(`  ${name} `) && line.endsWith(summary))).toHaveLength(1);
    }
  });

  test.each(commands.map(({ name }) => name))('fettle %s --help', async (name) => {
    const { code, out, err } = await call(...name.split(' '), '--help');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain(`Usage: fettle ${name}`);
    expect(await call('help', ...name.split(' '))).toEqual({ code, out, err });
  });

  test('the version stands alone', async () => {
    expect((await call('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('refusals', () => {
  test.each([
    [['docter'], 2, 'fettle: unknown command "docter". Did you mean "doctor"?\n'],
    [['xyz'], 2, 'fettle: unknown command "xyz". "fettle --help" lists the commands\n'],
    [['convert', 'llama'], 2, 'fettle: unknown command "convert llama". Did you mean "convert llama2c"?\n'],
    [['convert'], 2, 'fettle convert: one of llama2c must follow, got nothing\n'],
    [['doctor', '--jsn'], 2, 'fettle doctor: unknown flag "--jsn". Did you mean "--json"?\n'],
    [['--verson'], 2, 'fettle: unknown flag "--verson". Did you mean "--version"?\n'],
    [['doctor', 'x'], 2, 'fettle doctor: takes no arguments, got "x"\n'],
    [['convert', 'llama2c', '--output', 'x'], 2, 'fettle convert llama2c: --checkpoint must be given, got none\n'],
    [
      ['convert', 'llama2c', '--learning_rate=3'],
      2,
      'fettle convert llama2c: unknown flag "--learning_rate=3". Did you mean "learning_rate=3"?\n',
    ],
  ])('%j', async (argv, code, err) => {
    expect(await call(...argv)).toEqual({ code, out: '', err });
  });

  test('are at most 15 lines of 600 characters without control characters, and a stack only with FETTLE_DEBUG', () => {
    const error = new Error(`${'\u001B[2Jx'.repeat(400)}\n`.repeat(30));
    const { text, exitCode } = describeFailure(error, {});
    const lines = text.split('\n');
    expect(exitCode).toBe(1);
    expect(lines.length).toBeLessThanOrEqual(15);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(600);
    expect(text).not.toContain('\u001B');
    expect(describeFailure(new Error('boom'), {}).text).toBe(
      'fettle: unexpected error: boom. FETTLE_DEBUG=1 shows where',
    );
    expect(describeFailure(new Error('boom'), { FETTLE_DEBUG: '1' }).text).toContain('command-line.test.ts');
    expect(describeFailure(new ConfigError('config-problems', { problems: [] }), {}).exitCode).toBe(1);
  });
});

describe('doctor', () => {
  test('prints JSON alone with --json', async () => {
    const { code, out, err } = await call('doctor', '--json');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out)).toMatchObject({ node: process.version, runtime: { loads: true } });
  });

  test('reads the flags of x86 and ARM processors', () => {
    expect(processorFlags('processor : 0\nflags\t\t: fpu avx2 avx512f avx512_vnni\n')).toEqual([
      'avx2',
      'avx512f',
      'avx512_vnni',
    ]);
    expect(processorFlags('Features\t: fp asimd asimddp i8mm')).toEqual(['asimd', 'asimddp', 'i8mm']);
    expect(processorFlags('')).toEqual([]);
  });
});

describe('the place of a key that is refused after the configuration was read', () => {
  const file = join(folder, 'late.yaml');
  writeFileSync(file, 'stage: sft\ndataset: [none-such.json]\n');

  test('is its line in the file', async () => {
    const { code, err } = await call('data', 'check', file);
    expect(code).toBe(1);
    expect(err).toContain(`${file}:2:10: dataset: "none-such.json" must be a name in `);
  });

  test('is the argument that goes before the file', async () => {
    const { code, err } = await call('data', 'check', file, 'dataset=other.json');
    expect(code).toBe(1);
    expect(err).toContain('command line: dataset=other.json: dataset: "other.json" must be a name in ');
  });

  test('is left out where nobody wrote the key', () => {
    const error = new ConfigError('model-needed', {});
    const places = new Map([['model_name_or_path', { origin: 'default', where: 'default' } as const]]);
    expect(describeFailure(error, {}, places).text).toBe(error.message);
  });
});

test('colours are written on a terminal only, and not with NO_COLOR', () => {
  const stream = (isTTY: boolean) => ({ write: () => true, isTTY });
  expect(new Terminal(stream(true), {}).style('red', 'x')).toBe('\u001B[31mx\u001B[0m');
  expect(new Terminal(stream(true), { NO_COLOR: '1' }).style('red', 'x')).toBe('x');
  expect(new Terminal(stream(true), { TERM: 'dumb' }).style('red', 'x')).toBe('x');
  expect(new Terminal(stream(false), {}).style('red', 'x')).toBe('x');
});

test('convert llama2c names a broken file', async () => {
  const file = join(folder, 'broken.bin');
  writeFileSync(file, 'x');
  const { code, err } = await call(
    'convert',
    'llama2c',
    '--checkpoint',
    file,
    '--tokenizer',
    file,
    '--output',
    join(folder, 'out'),
  );
  expect(code).toBe(1);
  expect(err).toContain(file);
});
