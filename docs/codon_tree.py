"""Draws docs/codon_tree.svg: the tree that losses on codons know, of the standard genetic code.

python docs/codon_tree.py           write the picture
python docs/codon_tree.py --check   change nothing; exit 1 if the picture is another one
"""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from pathlib import Path

from nuclex.bio import GeneticCode
from nuclex.objectives import Hierarchy
from nuclex.objectives.hierarchy import ROOT
from nuclex.tokenizers import CodonConfig

ROW, COLUMNS, WIDTH = 13.0, (12, 150, 290, 430, 590), 660
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, 'DejaVu Sans', sans-serif"


def children(tree: Hierarchy) -> dict[str, list[str]]:
    """Node to what is below it, codons and special tokens among them, in the order of the code."""
    found: dict[str, list[str]] = {}
    order = sorted(range(len(tree)), key=lambda token: (len(tree.paths[token]) == 1, tree.paths[token], token))
    for token in order:
        path = tree.paths[token]
        way = (ROOT, *path) if len(path) == 1 else (ROOT, *path, tree.tokens[token])
        for above, below in pairwise(way):
            if below not in found.setdefault(above, []):
                found[above].append(below)
    return found


def drawn() -> str:
    """The picture as SVG text that takes the colours of its page."""
    tree = Hierarchy.of_tokenizer(CodonConfig(frame=0).build(), GeneticCode.ncbi(1))
    below, lines, words = children(tree), [], []
    height = {"rows": 0.0}

    def place(node: str, depth: int) -> float:
        """Draw a node and what is below it; gives its height."""
        under = below.get(node, [])
        heights = [place(part, depth + 1) for part in under]
        if heights:
            y = sum(heights) / len(heights)
        else:
            y = 20 + ROW * height["rows"]
            height["rows"] += 1
        x, deepest = COLUMNS[depth], depth == len(COLUMNS) - 1
        for part_y in heights:
            bend = COLUMNS[depth + 1] - 14
            lines.append(f"M{bend - 26} {y:.1f}C{bend - 10} {y:.1f} {bend - 16} {part_y:.1f} {bend} {part_y:.1f}")
        if heights:
            lines.append(f"M{x + 7.3 * len(node) + 4:.1f} {y:.1f}H{COLUMNS[depth + 1] - 40}")
        weight = ' font-family="monospace"' if deepest or not heights else ' font-weight="600"'
        text = node.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        words.append(f'<text x="{x}" y="{y + 3.5:.1f}"{weight}>{text}</text>')
        return y

    place(ROOT, 0)
    total = 30 + ROW * height["rows"]
    levels = ("depth 0", "depth 1", "depth 2", "depth 3", "depth 4")
    heads = "".join(
        f'<text x="{x}" y="10" font-size="9" opacity="0.7">{name}</text>'
        for x, name in zip(COLUMNS, levels, strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total:.0f}" font-family="{FONT}" '
        f'font-size="11" role="img"><title>The tree of codons of the standard genetic code</title>'
        f"<style>svg{{color:#1a1a1a}}@media (prefers-color-scheme:dark){{svg{{color:#e8e8e8}}}}</style>"
        f'<path d="{"".join(lines)}" fill="none" stroke="#8a8a8a" stroke-width="1"/>'
        f'<g fill="currentColor">{heads}{"".join(words)}</g></svg>\n'
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".svg"))
    given = parser.parse_args()
    if given.check:
        return int(not given.out.is_file() or given.out.read_text(encoding="utf-8") != drawn())
    given.out.write_text(drawn(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
