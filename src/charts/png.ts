/**
 * SVG to PNG by resvg (WebAssembly, no native code) with the Latin font that the package ships, so that a picture is
 * the same on every machine. Texts that the font cannot draw become numbers; the legend says what they stand for.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { initWasm, Resvg } from '@resvg/resvg-wasm';
import { DataError } from '../errors.ts';
import { escapeXml, unescapeXml } from './svg.ts';
import { isDrawable } from './text-metrics.ts';

/** A drawn picture. */
export interface Png {
  readonly png: Uint8Array;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** What the numbers that replace non-Latin texts mean, in order; empty where all could be drawn. */
  readonly legend: readonly PngLegendEntry[];
}

/** `mark` is what stands in the picture, for example `[1]`. */
export interface PngLegendEntry {
  readonly mark: string;
  readonly text: string;
}

/** The legend as a text file to stand beside the picture: a line for each number. */
export function legendText(legend: readonly PngLegendEntry[]): string {
  return legend.map(({ mark, text }) => `${mark} ${text.replace(/\s+/g, ' ')}\n`).join('');
}

/** Pictures above this many pixels would take more memory than a training run may lose to its plot. */
const MAX_PIXELS = 64_000_000;

interface Renderer {
  readonly fonts: readonly Uint8Array[];
}
let renderer: Promise<Renderer> | undefined;

async function loadRenderer(): Promise<Renderer> {
  const wasm = await readFile(fileURLToPath(import.meta.resolve('@resvg/resvg-wasm/index_bg.wasm')));
  await initWasm(wasm);
  // The same way up from src/charts and from dist/charts.
  const folder = new URL('../../assets/fonts/', import.meta.url);
  const names = ['Inter-Regular.otf', 'Inter-SemiBold.otf'];
  return { fonts: await Promise.all(names.map(async (name) => readFile(new URL(name, folder)))) };
}

/** Replaces texts that the shipped font lacks by numbers. Equal texts get equal numbers. */
export function numberForeignTexts(svg: string): { svg: string; legend: PngLegendEntry[] } {
  const marks = new Map<string, string>();
  const numbered = svg.replace(
    /(<text\b[^>]*>)([^<]*)(<\/text>)/g,
    (whole, open: string, words: string, close: string) => {
      const label = unescapeXml(words);
      if (isDrawable(label)) return whole;
      const mark = marks.get(label) ?? `[${marks.size + 1}]`;
      marks.set(label, mark);
      return `${open}${escapeXml(mark)}${close}`;
    },
  );
  return { svg: numbered, legend: [...marks].map(([text, mark]) => ({ mark, text })) };
}

/**
 * Draws an SVG of this room as PNG.
 * @param options.zoom pixels of the PNG for each pixel of the SVG; 2 unless given, for sharp text on dense screens
 * @throws DataError where the SVG cannot be drawn or the picture would be too large
 */
export async function svgToPng(svg: string, options: { readonly zoom?: number } = {}): Promise<Png> {
  renderer ??= loadRenderer();
  const { fonts } = await renderer;
  const zoom = options.zoom ?? 2;
  const numbered = numberForeignTexts(svg);
  let drawing: InstanceType<typeof Resvg>;
  try {
    drawing = new Resvg(numbered.svg, {
      fitTo: { mode: 'zoom', value: zoom },
      font: { fontBuffers: [...fonts], defaultFontFamily: 'Inter', sansSerifFamily: 'Inter' },
    });
  } catch (cause) {
    const actual = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(
      'chart-invalid',
      { chart: 'svgToPng', requirement: 'the SVG must be drawable', actual },
      { cause },
    );
  }
  try {
    const pixels = drawing.width * zoom * drawing.height * zoom;
    if (!(pixels <= MAX_PIXELS)) {
      const requirement = `the picture must have at most ${MAX_PIXELS} pixels`;
      throw new DataError('chart-invalid', { chart: 'svgToPng', requirement, actual: String(Math.round(pixels)) });
    }
    const image = drawing.render();
    try {
      return { png: image.asPng(), width: image.width, height: image.height, legend: numbered.legend };
    } finally {
      image.free();
    }
  } finally {
    drawing.free();
  }
}
