"""Makes assets/fonts/*.otf and src/charts/font-widths.ts from the Debian package fonts-inter (4.0~beta7+ds-1).

    apt-get download fonts-inter && dpkg -x fonts-inter_*.deb inter
    python -m pip install fonttools==4.60.1
    python scripts/make-chart-font.py inter/usr/share/fonts/opentype/inter

Only a maker of the package runs this; neither the product nor its tests need Python.
"""

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

ROOT = Path(__file__).resolve().parent.parent
RANGES = [
    (0x20, 0x7E),  # ASCII
    (0xA0, 0x17F),  # Latin-1 and Latin Extended-A: the languages of Europe
]
# Dashes, quotes, bullet, ellipsis, per mille, arrows, mathematical signs, and the Greek letters of formulas.
SINGLES = "\u2013\u2014\u2018\u2019\u201a\u201c\u201d\u201e\u2022\u2026\u2030\u20ac\u2190\u2191\u2192\u2193\u2212\u2248\u2260\u2264\u2265\u221e\u0394\u03a3\u03b1\u03b2\u03b3\u03b5\u03b8\u03bb\u03bc\u03c0\u03c3"
WEIGHTS = {"Regular": 400, "SemiBold": 600}


def main(folder: Path) -> None:
    wanted = [c for low, high in RANGES for c in range(low, high + 1)] + [ord(c) for c in SINGLES]
    out = ROOT / "assets" / "fonts"
    out.mkdir(parents=True, exist_ok=True)
    widths: dict[str, dict[int, int]] = {}
    for name in WEIGHTS:
        options = subset.Options()
        options.layout_features = ["kern"]
        options.hinting = False
        options.desubroutinize = True
        options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14, 16, 17]
        options.notdef_outline = True
        options.canonical_order = True
        font = subset.load_font(str(folder / f"Inter-{name}.otf"), options)
        font.recalcTimestamp = False
        cmap = font.getBestCmap()
        present = sorted({c for c in wanted if c in cmap})
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=present)
        subsetter.subset(font)
        subset.save_font(font, str(out / f"Inter-{name}.otf"), options)
        made = TTFont(out / f"Inter-{name}.otf")
        unit = made["head"].unitsPerEm
        widths[name] = {c: round(made["hmtx"][g][0] * 1000 / unit) for c, g in made.getBestCmap().items()}
    shared = sorted(set(widths["Regular"]) & set(widths["SemiBold"]))
    runs: list[tuple[int, list[int]]] = []
    for code in shared:
        if runs and code == runs[-1][0] + len(runs[-1][1]):
            runs[-1][1].append(code)
        else:
            runs.append((code, [code]))
    lines = [
        "/** Advance widths of the font that the package ships. Written by scripts/make-chart-font.py; do not edit. */",
        "",
        "/** A run of consecutive code points with their widths in thousandths of the font size. */",
        "export interface WidthRun {",
        "  readonly first: number;",
        "  readonly regular: readonly number[];",
        "  readonly semiBold: readonly number[];",
        "}",
        "",
        "// oxfmt-ignore",
        "export const widthRuns: readonly WidthRun[] = [",
    ]
    for first, codes in runs:
        regular = ", ".join(str(widths["Regular"][c]) for c in codes)
        semi = ", ".join(str(widths["SemiBold"][c]) for c in codes)
        lines.append(f"  {{ first: {first}, regular: [{regular}], semiBold: [{semi}] }},")
    lines.append("];")
    (ROOT / "src" / "charts" / "font-widths.ts").write_text("\n".join(lines) + "\n")


main(Path(sys.argv[1]))
