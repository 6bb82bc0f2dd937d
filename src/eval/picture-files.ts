/** A picture as files: SVG, PNG, and a legend for what the PNG's Latin font cannot draw. */
import { join } from 'node:path';
import { writeFileAtomically } from '../formats/index.ts';

/** Writes `name.svg`, `name.png` and, where needed, `name.legend.txt` into a folder. @returns the paths */
export async function writePicture(folder: string, name: string, svg: string): Promise<string[]> {
  const { legendText, svgToPng } = await import('../charts/index.ts');
  const { png, legend } = await svgToPng(svg);
  const files: [string, string | Uint8Array][] = [
    [`${name}.svg`, svg],
    [`${name}.png`, png],
  ];
  if (legend.length > 0) files.push([`${name}.legend.txt`, legendText(legend)]);
  for (const [file, content] of files) await writeFileAtomically(join(folder, file), content);
  return files.map(([file]) => join(folder, file));
}
