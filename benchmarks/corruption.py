"""Damage checkpoints, bundles and corpora at random, and count how often nuclex notices.

    python benchmarks/corruption.py [--trials 1000] [--seed 0]

Kinds of damage: truncated, one bit flipped, a digit edited, a file of another artefact, a manifest of another artefact,
all files of another under the old manifest, a file lost, added, emptied; a checkpoint under the name of another step.
Recognised means: refused with a sentence that names the place (exit code 4); for the newest checkpoint of a run, that
the one before is used and one line names both. Sound artefacts are opened too: none may be refused.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "interruptions"))

from damages import make_artefacts, sound_ones_refused, try_all  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "corruption.json")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        artefacts = make_artefacts(Path(folder))
        found = try_all(artefacts, arguments.trials, arguments.seed, Path(folder) / "copy")
        refused = sound_ones_refused(artefacts, Path(folder) / "copy")
    total: Counter[bool] = sum(found.values(), Counter())
    rows = [(f"{kind}: {sort}", sum(counts.values()), counts[True]) for (sort, kind), counts in sorted(found.items())]
    rows.append(("all", sum(total.values()), total[True]))
    print(f"{'damage':<44}trials  recognised")
    for name, trials, noticed in rows:
        print(f"{name.replace('_', ' '):<44}{trials:>6}{noticed:>12}")
    print(f"sound artefacts refused: {sum(refused)} of {len(refused)}")
    minutes = round((time.monotonic() - began) / 60, 1)
    result = {"rows": rows, "sound refused": sum(refused), "seed": arguments.seed, "minutes": minutes}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
