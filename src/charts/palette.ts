/** Colours of all pictures: Okabe and Ito's set, which stays distinct under the common forms of colour blindness. */

/** Series colours in order of use (Okabe & Ito, "Color Universal Design", 2008; the darker members first). */
export const seriesColours = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#5B5B5B'] as const;

/** Colours of everything that is not data. */
export const ink = {
  background: '#FFFFFF',
  title: '#1B1F24',
  text: '#3D444D',
  grid: '#E6E9ED',
  axis: '#8C959F',
} as const;

/** The colour of the n-th series; starts again after the last. */
export function seriesColour(index: number): string {
  return seriesColours[index % seriesColours.length] ?? seriesColours[0];
}

function channels(hex: string): [number, number, number] {
  const value = Number.parseInt(hex.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** `from` with `share` (0 to 1) of the way to `to`, as #RRGGBB. */
export function blend(from: string, to: string, share: number): string {
  const a = channels(from);
  const b = channels(to);
  const mixed = a.map((channel, i) => Math.round(channel + ((b[i] ?? channel) - channel) * share));
  return `#${mixed.map((channel) => channel.toString(16).padStart(2, '0').toUpperCase()).join('')}`;
}

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = channels(hex).map((channel) => {
    const c = channel / 255;
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Black-ish or white, whichever has the higher contrast on `background` (WCAG 2 contrast ratio). */
export function textOn(background: string): string {
  const light = luminance(background);
  const dark = luminance(ink.title);
  return 1.05 / (light + 0.05) > (light + 0.05) / (dark + 0.05) ? '#FFFFFF' : ink.title;
}
