"""What keeping the vectors of a frozen model saves: fine-tuning with them kept, and with each read anew every time.

    python benchmarks/frozen.py BUNDLE [BUNDLE ...] [--rounds 3]

80 RNAs of ArchiveII (5S held out), three epochs of the pair head of ``finetune/archiveii-structure-small`` on the
frozen model, one thread, in turn in one process; processor time of the whole run, reading data and testing included.
The test scores must be equal.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from nuclex.core.config import load_config
from nuclex.models import answering
from nuclex.training.finetune import FinetuneConfig, finetune

KEYS: dict[str, Any] = {
    **{"controls": [], "thaw": [{"step": 0, "blocks": 0}], "task.family": "5s", "task.train_limit": 80},
    **{"task.validation_limit": 10, "task.test_limit": 10},
    **{"training.steps": 60, "training.evaluate_every": 20, "training.checkpoint_every": 60},
}


def once(bundle: Path, room: int) -> tuple[float, float]:
    """Processor seconds and the test's F1."""
    answering.KEPT_BYTES = room
    recipe: FinetuneConfig = load_config(
        FinetuneConfig, "finetune/archiveii-structure-small", {**KEYS, "bundle": str(bundle)}
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        done = finetune(recipe, Path(folder) / "run")
        return time.process_time() - began, done["metrics"]["pretrained_strict_f1"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "frozen.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for bundle in given.bundles:
        pairs = [(once(bundle, 1 << 30), once(bundle, 0)) for _ in range(given.rounds)]
        assert all(kept[1] == anew[1] for kept, anew in pairs), "the scores differ"
        ratios = [anew[0] / kept[0] for kept, anew in pairs]
        rows.append(
            {
                "bundle": bundle.name,
                "kept_s": median(kept[0] for kept, _ in pairs),
                "anew_s": median(anew[0] for _, anew in pairs),
                "times_as_fast": {"median": median(ratios), "low": min(ratios), "high": max(ratios)},
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    given.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
