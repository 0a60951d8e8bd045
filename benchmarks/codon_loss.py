"""What a loss on the tree of codons costs: beside plain cross entropy, alone and in a training step.

    python benchmarks/codon_loss.py [--rounds 30]

70 tokens (HELM's codons), one thread, processor time, all in turn in one process. ``alone``: forward and backward of
4 096 predictions. ``step``: forward, backward and AdamW of a GPT-2 of 2 blocks of width 128 on 2 048 codons.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from nuclex.data.pack import pack
from nuclex.data.sample import windows
from nuclex.data.tokens import tokenize
from nuclex.models import Gpt2Config, LanguageModel, Layout
from nuclex.objectives import CRITERIA, CausalConfig
from nuclex.tokenizers import CodonConfig

KINDS: dict[str, dict[str, Any]] = {
    "cross-entropy": {"kind": "cross-entropy"},
    "hierarchical": {"kind": "hierarchical", "alpha": 0.2},
    "soft-labels": {"kind": "soft-labels"},
    "amino-acid": {"kind": "amino-acid"},
}


def contestants(codons: int, work: str) -> dict[str, Callable[[], None]]:
    tokenizer = CodonConfig(frame=0).build()
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("ACGT"), 3 * 255)) for _ in range(codons // 256)]
    table = tokenize(texts, tokenizer)
    batch = pack(table, windows(table, 512), tokenizer)
    question = CausalConfig().ask(batch, tokenizer, 0, 0)
    torch.manual_seed(0)
    config = Gpt2Config(depth=2, width=128, heads=4, inner=512, max_positions=512).backbone()
    model = LanguageModel(config, vocabulary_size=len(tokenizer), pad_id=1, mask_id=tokenizer.mask_id)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    layout, inputs = Layout.of(batch.lengths_N), torch.from_numpy(batch.tokens_T)
    selected, scores = torch.from_numpy(question.selected_M), torch.randn(len(question.targets_M), len(tokenizer))

    def alone(keys: dict[str, Any]) -> None:
        asked = scores.clone().requires_grad_()
        CRITERIA.parse(keys).total(asked, question, batch, tokenizer).backward()

    def step(keys: dict[str, Any]) -> None:
        logits = model(inputs, layout, selected)
        (CRITERIA.parse(keys).total(logits, question, batch, tokenizer) / len(selected)).backward()
        optimizer.step()
        optimizer.zero_grad()

    made = alone if work == "alone" else step
    return {name: lambda keys=keys: made(keys) for name, keys in KINDS.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "codon_loss.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for work, codons in (("alone", 4096), ("step", 2048)):
        asked, seconds = contestants(codons, work), {name: [] for name in KINDS}
        for number in range(given.rounds + 3):
            for name, call in asked.items():
                began = time.process_time()
                call()
                if number >= 3:
                    seconds[name].append(time.process_time() - began)
        for name, found in seconds.items():
            ratios = [own / plain for own, plain in zip(found, seconds["cross-entropy"], strict=True)]
            rows.append({"work": work, "loss": name, "ms": 1e3 * median(found), "times": median(ratios)})
            print(json.dumps(rows[-1]), flush=True)
    given.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
