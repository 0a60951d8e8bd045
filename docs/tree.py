"""Writes the tree in README.md: one line a module of src/nuclex, with the first line of its docstring.

    python docs/tree.py           rewrite the block between the markers (`make tree`)
    python docs/tree.py --check   change nothing; print the block that belongs there and exit 1 if README.md differs

Floors stand in the order of the import-linter contract in pyproject.toml, from the roof down. Standard library only.
"""

from __future__ import annotations

import argparse
import ast
import sys
import tomllib
from pathlib import Path

BEGIN, END = "<!-- tree -->", "<!-- /tree -->"
COLUMN = 30


def meaning(module: Path) -> str:
    """The first line of a module's docstring without its full stop, in Markdown; empty when there is none."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].strip().removesuffix(".").replace("``", "`")


def floors(root: Path) -> list[str]:
    """The floors of the house from the roof down, as the layers contract names them."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [name.strip() for layer in layers for name in layer.split("|")]


def lines(folder: Path, order: list[str], depth: int = 0) -> list[str]:
    """One line for a package (its ``__init__.py``) and one for each module inside, packages last."""
    listed = [_line(f"{folder.name}/", meaning(folder / "__init__.py"), depth)]
    for module in sorted(folder.glob("*.py")):
        if module.name != "__init__.py":
            listed.append(_line(module.name, meaning(module), depth + 1))
    packages = [path.parent for path in folder.glob("*/__init__.py")]
    for package in sorted(packages, key=lambda path: (order.index(path.name) if path.name in order else -1, path.name)):
        listed += lines(package, order, depth + 1)
    return listed


def block(root: Path) -> str:
    """The fenced block, markers included, that belongs into README.md."""
    tree = "\n".join(lines(root / "src" / "nuclex", floors(root)))
    return f"{BEGIN}\n```\n{tree}\n```\n{END}"


def main() -> int:
    """Rewrite the tree in README.md, or with ``--check`` say whether it is up to date."""
    parser = argparse.ArgumentParser(description="Write the tree in README.md from the modules' docstrings.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if README.md differs")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help="the repository")
    options = parser.parse_args()
    readme = options.root / "README.md"
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        print(f"{readme}: needs one line {BEGIN} and after it one line {END}", file=sys.stderr)
        return 1
    before, after = text[: text.index(BEGIN)], text[text.index(END) + len(END) :]
    wanted = before + block(options.root) + after
    if wanted == text:
        return 0
    if options.check:
        print(f"{readme}: the tree is out of date; run `make tree`, or paste this:\n\n{block(options.root)}")
        return 1
    readme.write_text(wanted, encoding="utf-8")
    print(f"{readme}: tree rewritten")
    return 0


def _line(name: str, text: str, depth: int) -> str:
    return f"{'    ' * depth + name:<{COLUMN}}  {text}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
