import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
const node = process.execPath;

interface Manifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly files: readonly string[];
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly scripts: Readonly<Record<string, string>>;
}

/** What npm would pack beside `dist`, and what the build writes into `dist`: together the tarball. */
describe('the npm package', () => {
  let manifest: Manifest;
  let out: string;
  let built: Set<string>;

  beforeAll(async () => {
    manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Manifest;
    out = await mkdtemp(join(tmpdir(), 'fettle-package-'));
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    await run(node, [compiler, '-p', 'tsconfig.build.json', '--outDir', out], { cwd: root });
    const files = await readdir(out, { recursive: true });
    built = new Set(files.map((file) => `./dist/${file.replaceAll('\\', '/')}`));
  });
  afterAll(async () => rm(out, { recursive: true, force: true }));

  it('has the programs and type declarations that package.json promises', () => {
    for (const target of Object.values(manifest.exports)) {
      if (typeof target === 'string') continue;
      expect(built).toContain(target.types);
      expect(built).toContain(target.default);
    }
    for (const target of Object.values(manifest.bin)) expect(built).toContain(`./${target.replace(/^\.\//, '')}`);
  });
  it('holds no tests', () => {
    expect([...built].filter((file) => /\.(test|fixture)\./.test(file))).toEqual([]);
  });
  it('starts with node where it is a program', async () => {
    const main = await readFile(join(out, 'cli/main.js'), 'utf8');
    expect(main.startsWith('#!/usr/bin/env node\n')).toBe(true);
  });
  it('holds licence, readmes, font and demo model, and little else', async () => {
    const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: root,
      env: { ...process.env, npm_config_offline: 'true', npm_config_update_notifier: 'false' },
    });
    const [packed] = JSON.parse(stdout) as { files: { path: string; size: number }[] }[];
    const files = (packed?.files ?? []).filter(({ path }) => !path.startsWith('dist/'));
    const names = files.map(({ path }) => path);
    expect(names).toEqual(
      expect.arrayContaining([
        'LICENSE',
        'README.md',
        'README.zh.md',
        'CHANGELOG.md',
        'assets/fonts/Inter-Regular.otf',
        'assets/fonts/Inter-SemiBold.otf',
        'assets/fonts/OFL.txt',
        'assets/demo/model/model.safetensors',
        'assets/demo/model/tokenizer.json',
        'assets/demo/data/sentiment_train.json',
      ]),
    );
    expect(names.filter((name) => /^(src|test|scripts|bench|docs|quickstart|saves)\//.test(name))).toEqual([]);
    // 1 MB is 10^6 bytes. The demo model is 2 MB of it.
    expect(files.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(5e6);
  });
  it('pins every version', () => {
    const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
  });
  it('runs nothing when it is installed', () => {
    const names = ['preinstall', 'install', 'postinstall', 'prepare'];
    expect(names.filter((name) => name in manifest.scripts)).toEqual([]);
  });
});
