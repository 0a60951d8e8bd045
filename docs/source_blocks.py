"""Snippets of the source in a page, by name: no line numbers that go stale, and a name that is gone ends the build.

A page says what it wants in a block of its own, which is replaced by the code of that function, class or constant:

    ```source
    nuclex/data/pack.py: pack
    ```

Methods are ``Class.method``. A docstring is cut to its first line, so that the page may say the rest.
"""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

BLOCK = re.compile(r"^```source\n(?P<file>\S+\.py): (?P<name>[\w.]+)\n```$", re.MULTILINE)


def named(tree: ast.AST, name: str) -> ast.stmt | None:
    """The function, class or assignment of this dotted name, or None."""
    first, _, rest = name.partition(".")
    for node in getattr(tree, "body", ()):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found = node.name == first
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = any(isinstance(target, ast.Name) and target.id == first for target in targets)
        else:
            continue
        if found:
            return named(node, rest) if rest else node
    return None


def code_of(path: Path, name: str) -> str:
    """The code of one name of a file; ValueError where the file has no such name."""
    text = path.read_text(encoding="utf-8")
    node = named(ast.parse(text), name)
    if node is None:
        raise ValueError(f"{path}: has no {name}")
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    lines = text.splitlines()[first - 1 : node.end_lineno]
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
        docstring = node.body[0]
        assert docstring.end_lineno is not None
        begin, end = docstring.lineno - first, docstring.end_lineno - first
        if begin < end:
            lines[begin : end + 1] = [lines[begin].rstrip() + '"""']
    return textwrap.dedent("\n".join(lines))


def with_code(markdown: str, source: Path) -> str:
    """A page with its source blocks filled; ``source`` is the folder that holds the package."""

    def fill(match: re.Match[str]) -> str:
        file, name = match["file"], match["name"]
        return f'```python title="src/{file}"\n{code_of(source / file, name)}\n```'

    return BLOCK.sub(fill, markdown)
