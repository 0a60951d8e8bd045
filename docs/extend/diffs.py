"""Write the files of ``examples/outside`` as diffs into the pages beside this script; ``--check`` only compares.

A page has ``<!-- diff: FILE -->`` and ``<!-- /diff -->``; what stands between them is written here. ``FILE:GROUP`` is
the entry point of that group in a ``pyproject.toml``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUTSIDE = HERE.parents[1] / "examples" / "outside"
PLACE = re.compile(r"(<!-- diff: (\S+?)(?::(\S+))? -->\n).*?(<!-- /diff -->)", re.DOTALL)


def diff(name: str, group: str | None) -> str:
    """The file as a diff against nothing, or the lines of one group of entry points as added ones."""
    lines = (OUTSIDE / name).read_text(encoding="utf-8").splitlines()
    head = f"--- /dev/null\n+++ {name}\n@@ -0,0 +1,{len(lines)} @@"
    if group is not None:
        first = lines.index(f'[project.entry-points."{group}"]')
        lines = lines[first : first + 2]
        head = f"--- {name}\n+++ {name}"
    added = "\n".join(f"+{line}" for line in lines)
    return f"```diff\n{head}\n{added}\n```\n"


def renewed(page: str) -> str:
    """The page with its diffs as the files are now."""
    return PLACE.sub(lambda found: f"{found[1]}{diff(found[2], found[3])}{found[4]}", page)


def main(arguments: list[str]) -> int:
    """Renew the pages; with ``--check`` 1 where one is not as it should be."""
    stale = 0
    for path in sorted(HERE.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        if renewed(page) != page:
            stale = 1
            if "--check" not in arguments:
                path.write_text(renewed(page), encoding="utf-8")
    return stale if "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
