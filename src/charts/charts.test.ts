import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { downsample } from './downsample.ts';
import {
  barChart,
  binValues,
  formatShare,
  histogram,
  legendText,
  lineChart,
  lossCurve,
  matrixChart,
  svgToPng,
} from './index.ts';
import { textOn } from './palette.ts';
import { numberForeignTexts } from './png.ts';
import { smooth } from './smooth.ts';
import { fitText, isDrawable, textWidth } from './text-metrics.ts';
import { formatTick, formatValue, niceTicks } from './ticks.ts';

/** The words of all <text> elements, in order. */
function words(svg: string): string[] {
  return [...svg.matchAll(/<text\b[^>]*>([^<]*)<\/text>/g)].map((match) => match[1] ?? '');
}

/** For each drawn series the number of its points. */
function pathPoints(svg: string): number[] {
  return [...svg.matchAll(/<path d="([^"]*)"/g)].map((match) => (match[1] ?? '').split(/[ML]/).length - 1);
}

function count(svg: string, pattern: RegExp): number {
  return [...svg.matchAll(pattern)].length;
}

describe('ticks', () => {
  it.each([
    [0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [0.81, 2.31, 4, [0.5, 1, 1.5, 2, 2.5]],
    [-3, 17, 5, [-5, 0, 5, 10, 15, 20]],
    [0.0012, 0.0019, 4, [0.0012, 0.0014, 0.0016, 0.0018, 0.002]],
  ])('covers %d to %d with round values', (low, high, about, expected) => {
    expect(niceTicks(low, high, about).values).toEqual(expected);
  });
  it('keeps to whole numbers and inside the range where asked', () => {
    expect(niceTicks(1, 3, 10, true, false).values).toEqual([1, 2, 3]);
    expect(niceTicks(10, 1800, 9, true, false).values).toEqual([200, 400, 600, 800, 1000, 1200, 1400, 1600, 1800]);
  });
  it('has a range where all values are equal', () => {
    for (const value of [0, 2.5, -4, 1e-9]) {
      const ticks = niceTicks(value, value, 5);
      expect(ticks.high).toBeGreaterThan(ticks.low);
      expect(ticks.values.length).toBeGreaterThan(1);
    }
  });
  it('says numbers as people write them', () => {
    expect([0, 0.5, 1.25, 1000, -20].map((value) => formatTick(value, 0.25))).toEqual([
      '0',
      '0.50',
      '1.25',
      '1,000.00',
      '−20.00',
    ]);
    expect(formatTick(12000, 2000)).toBe('12,000');
    expect(formatTick(2.5e9, 5e8)).toBe('2.5B');
    expect(formatTick(0.00005, 0.00001)).toBe('5e−5');
    expect([2.31159, 0.89, 1800, 1e-5].map(formatValue)).toEqual(['2.312', '0.89', '1,800', '1e−5']);
  });
});

describe('smooth', () => {
  it('leaves a straight line as it is, ends included', () => {
    const line = Array.from({ length: 300 }, (_, i) => 5 - 0.01 * i);
    smooth(line).forEach((value, i) => expect(value).toBeCloseTo(line[i] ?? 0, 9));
  });
  it('takes most of the noise away and keeps gaps', () => {
    const noisy = Array.from({ length: 200 }, (_, i) => 2 + (i % 2 === 0 ? 0.5 : -0.5));
    noisy[100] = Number.NaN;
    const calm = smooth(noisy);
    expect(calm[100]).toBeNaN();
    expect(Math.max(...calm.filter(Number.isFinite).map((value) => Math.abs(value - 2)))).toBeLessThan(0.11);
  });
});

describe('downsample', () => {
  it('keeps every spike and at most four points a column', () => {
    const x = Array.from({ length: 100_000 }, (_, i) => i);
    const y = x.map((i) => (i === 70_001 ? 9 : i === 33_333 ? -9 : Math.sin(i)));
    const few = downsample({ x, y }, 500);
    expect(few.x.length).toBeLessThanOrEqual(2000);
    expect(few.y).toContain(9);
    expect(few.y).toContain(-9);
    expect([few.x[0], few.x.at(-1)]).toEqual([0, 99_999]);
    expect([...few.x].sort((a, b) => a - b)).toEqual(few.x);
  });
  it('leaves short series alone and keeps gaps visible', () => {
    const short = { x: [1, 2], y: [3, 4] };
    expect(downsample(short, 500)).toBe(short);
    const x = Array.from({ length: 5000 }, (_, i) => i);
    const few = downsample({ x, y: x.map((i) => (i === 2500 ? Number.NaN : 1)) }, 100);
    expect(few.y.some(Number.isNaN)).toBe(true);
  });
});

describe('lossCurve', () => {
  const log = Array.from({ length: 40 }, (_, i) => ({ current_steps: (i + 1) * 10, loss: 3 / (i + 1) + 0.5 }));

  it('holds the words loss and step, the legend and round ticks', () => {
    const svg = lossCurve([...log, { current_steps: 200, eval_loss: 0.9 }, { current_steps: 400, eval_loss: 0.8 }]);
    expect(words(svg)).toEqual(
      expect.arrayContaining([
        'Training loss',
        'loss',
        'step',
        'training loss',
        'training loss, smoothed',
        'evaluation loss',
      ]),
    );
    expect(words(svg)).toEqual(expect.arrayContaining(['100', '200', '300', '400', '0.5', '3.5']));
    expect(words(svg)).toContain('training 3.5 → 0.575 at step 400   ·   best evaluation 0.8 at step 400');
    expect(pathPoints(svg)).toEqual([40, 40, 2]);
    // Two on the curve, one in the legend.
    expect(count(svg, /class="point"/g)).toBe(3);
  });
  it('reads trainer_state.json too, and lets the later of two lines for one step count', () => {
    const svg = lossCurve([{ step: 1, loss: 4 }, { step: 2, loss: 9 }, { step: 2, loss: 3 }, { step: 3 }]);
    expect(words(svg)).toContain('training 4 → 3 at step 2');
    expect(pathPoints(svg)).toEqual([2]);
  });
  it('draws something for no, one and unusable values', () => {
    expect(words(lossCurve([]))).toEqual(expect.arrayContaining(['loss', 'step', 'no values yet']));
    expect(count(lossCurve([{ step: 5, loss: 2 }]), /class="point"/g)).toBe(2);
    expect(words(lossCurve([{ step: 5, loss: Number.NaN }]))).toContain('no values yet');
  });
  it('stays small for a run of a hundred thousand steps', () => {
    const svg = lossCurve(Array.from({ length: 100_000 }, (_, i) => ({ step: i, loss: 2 + Math.sin(i * 12.9) })));
    expect(svg.length).toBeLessThan(150_000);
    expect(Math.max(...pathPoints(svg))).toBeLessThan(4000);
  });
  it('gives the same bytes again', () => {
    expect(lossCurve(log)).toBe(lossCurve(log));
  });
});

describe('lineChart', () => {
  it('breaks the line at a gap', () => {
    const svg = lineChart({ series: [{ label: 'a', x: [1, 2, 3, 4, 5], y: [1, 2, Number.NaN, 2, 1] }] });
    expect(/d="M[^M"]*L[^M"]*M[^M"]*L[^M"]*"/.test(svg)).toBe(true);
  });
  it('escapes words and leaves out what XML forbids', () => {
    const svg = lineChart({ title: '<b>"a" & \u0000\uD800b</b>', series: [] });
    expect(svg).toContain('&lt;b&gt;&quot;a&quot; &amp; b&lt;/b&gt;');
  });
  it('refuses series that do not fit', () => {
    expect(() => lineChart({ series: [{ label: 'a', x: [1, 2], y: [1] }] })).toThrow(
      'lineChart: series "a": x and y must have equal length, got 2 and 1',
    );
    expect(() => lineChart({ series: [], width: 100 })).toThrow(
      'lineChart: width must be from 400 to 10000 pixels, got 100',
    );
  });
});

describe('barChart', () => {
  const shares = [
    { label: 'win', values: [0.5, 0.25] },
    { label: 'tie', values: [0.2, 0.25] },
    { label: 'lose', values: [0.3, 0.5] },
  ];
  it('stacks bars end to end over the whole width', () => {
    const svg = barChart({
      categories: ['all', 'novelty'],
      series: shares,
      stacked: true,
      direction: 'lying',
      format: formatShare,
    });
    const rectangles = [...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"[^>]*class="bar"/g)].map((m) =>
      m.slice(1).map(Number),
    );
    expect(rectangles).toHaveLength(6);
    const [a, b, c] = rectangles as [number[], number[], number[]];
    expect((a[0] ?? 0) + (a[2] ?? 0)).toBeCloseTo(b[0] ?? 0, 1);
    expect((b[0] ?? 0) + (b[2] ?? 0)).toBeCloseTo(c[0] ?? 0, 1);
    expect((a[2] ?? 0) / (b[2] ?? 1)).toBeCloseTo(2.5, 1);
    expect(words(svg)).toEqual(expect.arrayContaining(['win', 'tie', 'lose', '50%', '20%', '30%', '25%']));
  });
  it('lies down where the names are too long to stand', () => {
    const long = 'a name that is much too long to stand below one bar among many others';
    const svg = barChart({ categories: [long, `${long} again`, 'x'], series: [{ label: 'n', values: [1, 2, 3] }] });
    const bars = [...svg.matchAll(/<rect x="([\d.]+)"[^>]*class="bar"/g)].map((m) => m[1]);
    expect(new Set(bars).size).toBe(1);
  });
  it('leaves room for the values behind lying bars that reach the end', () => {
    const svg = barChart({
      categories: ['a', 'b'],
      direction: 'lying',
      series: [
        {
          label: 'n',
          values: [2.805, 1.5],
          intervals: [
            [2.6, 3],
            [1.4, 1.6],
          ],
        },
      ],
    });
    const [, width] = /<svg[^>]* width="([\d.]+)"/.exec(svg)!;
    const [, x] = /<text x="([\d.]+)"[^>]*>2\.805</.exec(svg)!;
    const [, size] = /<text [^>]*font-size="([\d.]+)"[^>]*>2\.805</.exec(svg)!;
    expect(Number(x) + textWidth('2.805', Number(size))).toBeLessThanOrEqual(Number(width));
  });
  it('leaves room for the values above upright bars that reach the end, below the legend', () => {
    const series = ['one', 'two'].map((label) => ({
      label,
      values: [100, 95],
      intervals: [
        [98, 100],
        [90, 99],
      ] as const,
    }));
    const svg = barChart({ title: 'T', categories: ['a', 'b'], direction: 'upright', series });
    const places = (word: string): number[] =>
      [...svg.matchAll(new RegExp(`<text x="[\\d.]+" y="([\\d.]+)"[^>]*text-anchor="middle"[^>]*>${word}<`, 'g'))].map(
        (m) => Number(m[1]),
      );
    const [, legend, size] = /<text [^>]*y="([\d.]+)"[^>]*font-size="([\d.]+)"[^>]*>two</.exec(svg)!;
    expect(places('100')).toHaveLength(2);
    for (const y of places('100')) expect(y - Number(size)).toBeGreaterThan(Number(legend));
  });
  it('refuses what does not fit', () => {
    expect(() => barChart({ categories: ['a'], series: [{ label: 's', values: [1, 2] }] })).toThrow(
      'barChart: series "s": values must be one for each of 1 categories, got 2',
    );
    expect(() => barChart({ categories: ['a'], stacked: true, series: [{ label: 's', values: [-1] }] })).toThrow(
      'values must be finite and not negative, got -1',
    );
  });
});

describe('histogram', () => {
  it('counts every value once', () => {
    const values = Array.from({ length: 1000 }, (_, i) => (i * 37) % 211);
    const bins = binValues(values, 20);
    expect(bins).toMatchObject({ low: 0, width: 20 });
    expect(bins.counts.reduce((a, b) => a + b, 0)).toBe(1000);
    bins.counts.forEach((n, i) => {
      expect(n).toBe(values.filter((value) => value >= i * 20 && value < (i + 1) * 20).length);
    });
  });
  it('draws bars and marks', () => {
    const svg = histogram({
      values: [1, 2, 2, 3, 3, 3],
      xLabel: 'tokens',
      marks: [{ value: 2.5, label: 'median 2.5' }],
    });
    expect(words(svg)).toEqual(expect.arrayContaining(['tokens', 'count', 'median 2.5']));
    expect(count(svg, /class="bar"/g)).toBe(3);
    expect(words(histogram({ values: [] }))).toContain('count');
    expect(() => histogram({ values: [1, Number.NaN] })).toThrow('histogram: values must be finite, got NaN');
  });
});

describe('matrixChart', () => {
  it('says each count with its share of the row', () => {
    const svg = matrixChart({
      rows: ['yes', 'no'],
      columns: ['yes', 'no'],
      counts: [
        [3, 1],
        [0, 4],
      ],
    });
    expect(words(svg)).toEqual(['yes', 'no', 'yes', '3', '75%', '1', '25%', 'no', '0', '4', '100%']);
    expect(() => matrixChart({ rows: ['a'], columns: ['b'], counts: [[1, 2]] })).toThrow(
      'matrixChart: counts[0] must have one value for each of 1 columns, got 2',
    );
  });
  it('keeps words legible on their ground', () => {
    expect(textOn('#0072B2')).toBe('#FFFFFF');
    expect(textOn('#F3F6F9')).not.toBe('#FFFFFF');
  });
});

describe('text widths', () => {
  it('knows what the shipped font can draw', () => {
    expect(isDrawable('Fünf Größen → 3,5 ≤ Δ')).toBe(true);
    expect(isDrawable('损失')).toBe(false);
  });
  it('cuts words to a width', () => {
    const words = fitText('a rather long label', 16, 80);
    expect(words.endsWith('…')).toBe(true);
    expect(textWidth(words, 16)).toBeLessThanOrEqual(80);
    expect(textWidth('iiii', 16)).toBeLessThan(textWidth('WWWW', 16));
  });
});

describe('svgToPng', () => {
  /** Width, height and the raw pixel rows of a PNG of 8 bits with alpha. */
  function decode(png: Uint8Array): { width: number; height: number; raw: Buffer } {
    const bytes = Buffer.from(png);
    expect(bytes.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
    const parts: Buffer[] = [];
    for (let at = 8; at < bytes.length;) {
      const length = bytes.readUInt32BE(at);
      if (bytes.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(bytes.subarray(at + 8, at + 8 + length));
      at += length + 12;
    }
    return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20), raw: inflateSync(Buffer.concat(parts)) };
  }

  it('draws at the promised size, the same bytes each time', async () => {
    const svg = lossCurve([1, 2, 3, 4, 5, 6].map((step) => ({ step, loss: 3 / step })));
    const first = await svgToPng(svg);
    const { width, height } = decode(first.png);
    expect([width, height]).toEqual([1920, 1120]);
    expect([first.width, first.height]).toEqual([1920, 1120]);
    expect(Buffer.compare(Buffer.from(first.png), Buffer.from((await svgToPng(svg)).png))).toBe(0);
    expect(first.legend).toEqual([]);
  });
  it('draws words: without them the picture is another one', async () => {
    const svg = lineChart({ title: 'Word', series: [] });
    const blank = svg.replace(/<text\b[^>]*>[^<]*<\/text>/g, '');
    const dark = async (picture: string) => {
      const { raw } = decode((await svgToPng(picture, { zoom: 1 })).png);
      return raw.reduce((sum, byte) => sum + (byte !== 0 ? 1 : 0), 0);
    };
    expect(await dark(svg)).toBeGreaterThan((await dark(blank)) + 300);
  });
  it('numbers labels that the font lacks and says what they mean', async () => {
    const svg = lineChart({
      title: '训练 & 损失',
      xLabel: 'step',
      series: [
        { label: '模型', x: [1, 2], y: [1, 2] },
        { label: '模型', x: [1, 2], y: [2, 1] },
      ],
    });
    expect(svg).toContain('训练 &amp; 损失');
    const { legend } = await svgToPng(svg, { zoom: 1 });
    expect(legend).toEqual([
      { mark: '[1]', text: '训练 & 损失' },
      { mark: '[2]', text: '模型' },
    ]);
    expect(legendText(legend)).toBe('[1] 训练 & 损失\n[2] 模型\n');
    const numbered = words(numberForeignTexts(svg).svg);
    expect(numbered.filter((word) => word === '[2]')).toHaveLength(2);
    expect(numbered).toContain('step');
  });
  it('refuses what is no picture', async () => {
    await expect(svgToPng('<svg')).rejects.toThrow('svgToPng: the SVG must be drawable, got');
    await expect(svgToPng(lineChart({ series: [] }), { zoom: 20 })).rejects.toThrow('at most 64000000 pixels');
  });
});
