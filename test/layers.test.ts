/**
 * The walls between the rooms of src/: which room may import which, which room owns which package, and which files run in
 * a browser. One table; a broken rule names the file and the import.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

interface Room {
  /** Rooms that it may import, besides itself and the leaves that all may import. */
  readonly imports: readonly string[];
  /** Outside packages that this room owns; ONNX and SentencePiece files are both protobuf messages. */
  readonly packages?: readonly string[];
  /** Whether its files run in a browser: no `node:` modules. `files` limits this to some of them. */
  readonly browser?: boolean | { readonly except: readonly string[] };
}

/** Anyone may import these. */
const leaves = ['errors', 'messages', 'util'];

const engine = ['graph', 'autodiff', 'onnx', 'nn', 'models', 'tuning', 'optim', 'runtime', 'quant'];
const text = ['threads', 'formats', 'hub', 'tokenizer', 'template', 'data', 'charts', 'config'];
const below = [...engine, ...text, 'checkpoint', 'plugins'];

const rooms: Readonly<Record<string, Room>> = {
  util: { imports: [], browser: true },
  messages: { imports: [], browser: true },
  graph: { imports: [], browser: true },
  autodiff: { imports: ['graph'], browser: true },
  onnx: { imports: ['graph'], packages: ['@bufbuild/protobuf'], browser: true },
  nn: { imports: ['graph'], browser: true },
  quant: { imports: ['graph', 'nn', 'formats'] },
  models: { imports: ['graph', 'nn', 'quant'] },
  tuning: { imports: ['graph', 'nn', 'quant', 'models'] },
  optim: { imports: ['graph'] },
  runtime: { imports: ['graph', 'onnx', 'autodiff'], packages: ['onnxruntime-node'] },
  formats: {
    imports: [],
    packages: [
      '@bufbuild/protobuf',
      'csv-parse',
      'fzstd',
      'hyparquet',
      'hyparquet-compressors',
      'hyparquet-writer',
      'apache-arrow',
    ],
  },
  // Modules of ours as threads and processes.
  threads: { imports: [] },
  hub: { imports: ['formats'] },
  tokenizer: { imports: ['formats'], packages: ['@huggingface/tokenizers', '@bufbuild/protobuf'], browser: true },
  template: { imports: ['formats', 'tokenizer'], packages: ['@huggingface/jinja'], browser: true },
  data: {
    imports: ['threads', 'formats', 'hub', 'tokenizer', 'template'],
    browser: {
      except: [
        'data/index.ts',
        'data/check.ts',
        'data/text-tools.ts',
        'data/dataset-rows.ts',
        'data/glob.ts',
        'data/planned-data.ts',
        'data/prepare.ts',
        'data/prepared-data.ts',
        'data/prompt-rows.ts',
        'data/encode-rows.ts',
        'data/encode-pool.ts',
        'data/encode-worker.ts',
        'data/input-problems.ts',
        'data/kept-rows.ts',
        'data/model-length.ts',
        'data/registry.ts',
        'data/read-rows.ts',
        'data/preview.ts',
        'data/proof.ts',
        'data/stats.ts',
        'data/template-match.ts',
        'data/sequence-store.ts',
        'data/spill-file.ts',
      ],
    },
  },
  // Reads a model's folder: its config as a model, its tensors as bytes.
  checkpoint: { imports: ['formats', 'hub', 'graph', 'models', 'quant', 'tuning', 'runtime'] },
  config: { imports: [], packages: ['zod', 'yaml'] },
  charts: { imports: [], packages: ['@resvg/resvg-wasm'] },
  // Files of the user's own: templates and converters go to their rooms, functions wait for the rooms above.
  plugins: { imports: ['formats', 'template', 'data'] },
  run: { imports: [...below, 'optim'] },
  // Asks OpenAI-compatible servers; knows no model of ours.
  endpoint: { imports: ['formats', 'run'] },
  train: { imports: [...below, 'run'] },
  generate: { imports: [...below, 'run'] },
  eval: { imports: [...below, 'run', 'endpoint', 'train', 'generate'] },
  synth: { imports: [...below, 'run', 'endpoint', 'train', 'generate'] },
  export: { imports: [...below, 'run', 'train', 'generate', 'eval'] },
  server: { imports: [...below, 'run', 'train', 'generate', 'eval', 'synth', 'export'] },
  cluster: { imports: [...below, 'run', 'train', 'generate', 'eval', 'synth', 'export'] },
  // The functions that src/index.ts gives to TypeScript users: what the commands do, without the terminal.
  api: { imports: [...below, 'run', 'train', 'generate', 'eval', 'synth', 'export', 'server', 'cluster'] },
  cli: {
    imports: [...below, 'run', 'train', 'generate', 'eval', 'synth', 'export', 'server', 'cluster'],
    packages: ['commander'],
  },
  testing: {
    imports: [...below, 'run', 'train', 'generate', 'eval', 'synth', 'export', 'server', 'cluster', 'cli'],
  },
};

const source = fileURLToPath(new URL('../src', import.meta.url));

interface Import {
  readonly file: string;
  readonly room: string;
  readonly specifier: string;
  /** Types are erased: they bind no room at run time. */
  readonly typeOnly: boolean;
  /** Room and file of a relative import. */
  readonly target?: { readonly room: string; readonly path: string };
}

/** What `import`, `export ... from` and `import(...)` name; texts in comments are no imports. */
function specifiers(code: string): readonly { readonly specifier: string; readonly typeOnly: boolean }[] {
  const bare = code.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const pattern =
    /^(?:import|export)\s+(type\s)?(?:[^;'"]*?\sfrom\s*)?(['"])([^'"\n]+)\2|\bimport\s*\(\s*(['"])([^'"\n]+)\4/gm;
  return [...bare.matchAll(pattern)].map((match) => ({
    specifier: match[3] ?? match[5]!,
    typeOnly: match[1] !== undefined,
  }));
}

/** The room of a path below src/: its folder, or the name of a file of src/ itself. */
function roomOf(path: string): string {
  const [first = '', second] = path.split('/');
  return second === undefined ? first.replace(/\.ts$/, '') : first;
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.ts'));
/** Tests and what only tests use may reach anywhere. */
const productFiles = files.filter((path) => !/\.(test|fixture)\.ts$/.test(path));

const imports: readonly Import[] = productFiles.flatMap((path) =>
  specifiers(readFileSync(join(source, path), 'utf8')).map(({ specifier, typeOnly }): Import => {
    const file = `src/${path}`;
    if (!specifier.startsWith('.')) return { file, room: roomOf(path), specifier, typeOnly };
    const target = relative(source, join(source, path, '..', specifier)).replaceAll('\\', '/');
    return { file, room: roomOf(path), specifier, typeOnly, target: { room: roomOf(target), path: target } };
  }),
);

const complaint = ({ file, specifier }: Import, why: string): string => `${file}: imports ${specifier}: ${why}`;
/** The door of the package and the catalogue stand above and below all rooms. */
const outside = ['index', 'errors'];

test('the table knows every room', () => {
  const unknown = [...new Set(productFiles.map(roomOf))].filter((room) => !(room in rooms) && !outside.includes(room));
  expect(unknown).toEqual([]);
  expect(imports.length).toBeGreaterThan(100);
});

test('imports between rooms point one way', () => {
  const broken = imports.flatMap((item) => {
    if (item.target === undefined || item.room === 'index') return [];
    const { room } = item.target;
    if (room === item.room || leaves.includes(room)) return [];
    const allowed = item.room === 'errors' ? ['messages'] : (rooms[item.room]?.imports ?? []);
    return allowed.includes(room) ? [] : [complaint(item, `room ${item.room} may not import room ${room}`)];
  });
  expect(broken).toEqual([]);
});

test('a room is entered through its index.ts only', () => {
  const broken = imports.flatMap((item) => {
    const target = item.target;
    if (target === undefined || target.room === item.room || target.path.split('/').length === 1) return [];
    // The types of problems and notices stand with their texts.
    if (target.room === 'messages') return [];
    return target.path === `${target.room}/index.ts`
      ? []
      : [complaint(item, `only ${target.room}/index.ts may be imported`)];
  });
  expect(broken).toEqual([]);
});

test('each outside package is imported by the room that owns it only', () => {
  const broken = imports.flatMap((item) => {
    if (item.target !== undefined || item.specifier.startsWith('node:')) return [];
    const name = item.specifier
      .split('/')
      .slice(0, item.specifier.startsWith('@') ? 2 : 1)
      .join('/');
    if (rooms[item.room]?.packages?.includes(name) === true) return [];
    const owners = Object.keys(rooms).filter((room) => rooms[room]!.packages?.includes(name) === true);
    return [complaint(item, owners.length === 0 ? 'no room owns this package' : `it belongs to ${owners.join(', ')}`)];
  });
  expect(broken).toEqual([]);
});

test('what runs in a browser imports no node module, directly or through others', () => {
  const byFile = new Map<string, Import[]>();
  for (const item of imports) {
    if (!item.typeOnly) byFile.set(item.file, [...(byFile.get(item.file) ?? []), item]);
  }
  /** First chain of imports from a file to a module that no browser has. */
  const chain = (file: string, seen: Set<string>): string | undefined => {
    if (seen.has(file)) return undefined;
    seen.add(file);
    for (const { specifier, target } of byFile.get(file) ?? []) {
      if (specifier.startsWith('node:') || specifier === 'onnxruntime-node') return `${file} -> ${specifier}`;
      const rest = target === undefined ? undefined : chain(`src/${target.path}`, seen);
      if (rest !== undefined) return `${file} -> ${rest}`;
    }
    return undefined;
  };
  const broken = productFiles.flatMap((path) => {
    const browser = rooms[roomOf(path)]?.browser ?? false;
    const bound = typeof browser === 'boolean' ? browser : !browser.except.includes(path);
    return bound ? (chain(`src/${path}`, new Set()) ?? []) : [];
  });
  expect(broken).toEqual([]);
});

test('what ships imports no test and no fixture', () => {
  const broken = imports.filter(({ specifier }) => /\.(test|fixture)\.ts$/.test(specifier));
  expect(broken.map((item) => complaint(item, 'only tests may'))).toEqual([]);
});

test('the folder index files only pass names on', () => {
  const broken = productFiles
    .filter((path) => path.endsWith('/index.ts') && roomOf(path) !== 'messages')
    .filter((path) => {
      const code = readFileSync(join(source, path), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
      return (
        /export \*(?! as)/.test(code) ||
        code.replace(/export\s+(type\s+)?\{[^}]*\}\s*from\s*'[^']+';/g, '').trim() !== ''
      );
    });
  expect(broken).toEqual([]);
});

test('the reader of import lines sees each form of import', () => {
  const code =
    "import a from './a.ts';\nimport type { B } from \"b\";\nexport { c } from 'c';\nconst d = await import('./d.ts');\nimport 'e';\n// import 'f';\n/* from 'g' */";
  expect(specifiers(code)).toEqual([
    { specifier: './a.ts', typeOnly: false },
    { specifier: 'b', typeOnly: true },
    { specifier: 'c', typeOnly: false },
    { specifier: './d.ts', typeOnly: false },
    { specifier: 'e', typeOnly: false },
  ]);
});
