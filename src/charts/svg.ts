/** Writing SVG elements as text. All words stay <text> elements, so that they can be searched, read aloud and restyled. */
import { ink } from './palette.ts';

/** Fonts tried in order: the shipped one, then what systems have, CJK included. */
export const FONT_FAMILY =
  "Inter, 'Helvetica Neue', Arial, 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif";

type Attributes = Readonly<Record<string, string | number | undefined>>;

/** Escapes text for XML and leaves out what XML 1.0 forbids (control characters, lone surrogates). */
export function escapeXml(text: string): string {
  return text
    .replace(/[\t\n\r]+/g, ' ')
    .replace(/[\p{Cc}\p{Cs}\uFFFE\uFFFF]/gu, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** The inverse of `escapeXml`. */
export function unescapeXml(text: string): string {
  return text.replaceAll('&quot;', '"').replaceAll('&gt;', '>').replaceAll('&lt;', '<').replaceAll('&amp;', '&');
}

/** A coordinate with at most two decimals, without trailing zeros. */
export function coordinate(value: number): string {
  const rounded = Math.round(value * 100) / 100;
  return Object.is(rounded, -0) ? '0' : String(rounded);
}

/** One element; attributes that are undefined are left out. `content` must be XML already. */
export function element(name: string, attributes: Attributes, content?: string): string {
  let text = `<${name}`;
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined) continue;
    text += ` ${key}="${typeof value === 'number' ? coordinate(value) : escapeXml(value)}"`;
  }
  return content === undefined ? `${text}/>` : `${text}>${content}</${name}>`;
}

export interface TextStyle {
  /** Pixels. */
  readonly size: number;
  readonly bold?: boolean | undefined;
  readonly colour?: string | undefined;
  readonly anchor?: 'start' | 'middle' | 'end' | undefined;
  /** Degrees, clockwise, around (x, y). */
  readonly rotate?: number | undefined;
}

/** A text whose baseline starts (or whose middle or end lies) at (x, y). */
export function text(x: number, y: number, words: string, style: TextStyle): string {
  return element(
    'text',
    {
      x,
      y,
      'font-size': style.size,
      'font-weight': style.bold ? '600' : undefined,
      fill: style.colour ?? ink.text,
      'text-anchor': style.anchor === 'start' ? undefined : style.anchor,
      transform: style.rotate ? `rotate(${style.rotate} ${coordinate(x)} ${coordinate(y)})` : undefined,
    },
    escapeXml(words),
  );
}

/** A straight line. */
export function line(x1: number, y1: number, x2: number, y2: number, colour: string, width = 1, dash?: string): string {
  return element('line', { x1, y1, x2, y2, stroke: colour, 'stroke-width': width, 'stroke-dasharray': dash });
}

/** The whole picture with a white ground; `title` is also what screen readers say. */
export function document(width: number, height: number, title: string, body: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${coordinate(width)}" height="${coordinate(height)}" ` +
      `viewBox="0 0 ${coordinate(width)} ${coordinate(height)}" role="img" font-family="${escapeXml(FONT_FAMILY)}">`,
    element('title', {}, escapeXml(title)),
    element('rect', { width, height, fill: ink.background }),
    ...body,
    '</svg>',
    '',
  ].join('\n');
}
