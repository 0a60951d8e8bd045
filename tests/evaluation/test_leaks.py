"""What was planted is found, for the right reason; what was not is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from Bio.Seq import Seq

from made import fasta, letters
from nuclex.bio.alphabet import DNA_IUPAC, to_dna
from nuclex.core.errors import InputError
from nuclex.data import homology
from nuclex.data.catalog import fetch
from nuclex.data.corpus import CorpusConfig, build_corpus
from nuclex.data.store import Corpus
from nuclex.evaluation.leaks import PRETRAINING, REASONS, TRAINING, Leaks, leaks
from nuclex.metrics.statistics import bootstrap
from nuclex.tasks import ArchiveiiConfig, Example, NcrnaClassConfig, Shape, Task

pytestmark = pytest.mark.usefixtures("silent")
PLAIN = {"cluster": {"method": "none"}, "split": {"by": "random", "validation": 0, "test": 0}}


def mutant(seed: int, text: str, share: float) -> str:
    """Exactly this share of letters replaced by another one."""
    random, found = np.random.default_rng(seed), list(text)
    for place in random.choice(len(text), round(share * len(text)), replace=False):
        found[place] = random.choice([x for x in "ACGT" if x != found[place]])
    return "".join(found)


def other_strand(text: str) -> str:
    return str(Seq(text).reverse_complement())


def corpus_of(folder: Path, texts: dict[str, str], **settings: object) -> Path:
    build_corpus(
        [fasta(folder / "x.fa", texts.items())], folder / "corpus", CorpusConfig.from_data({**PLAIN, **settings})
    )
    return folder / "corpus"


def task_of(test: dict[str, str], train: dict[str, str] | None = None) -> Task:
    known = train or {"t": letters(99, 70)}
    splits = {
        "train": tuple(Example(text, "x", name) for name, text in known.items()),
        "validation": (Example(letters(98, 70), "x", "v"),),
        "test": tuple(Example(text, "x", name) for name, text in test.items()),
    }
    return Task("toy", Shape.CLASS, splits, ("x",))


SEEN = [letters(number, 100) for number in range(6)]
ASKED = {
    "equal": SEEN[0].replace("T", "U").lower(),
    "reverse_complement": other_strand(SEEN[1]),
    "contained": SEEN[2][20:80],
    "contained_other_strand": other_strand(SEEN[2])[20:80],
    "contains": "ACGG" + SEEN[3] + "TTA",
    "similar": mutant(5, SEEN[4], 0.08),
    "similar_other_strand": other_strand(mutant(6, SEEN[4], 0.08)),
    "far": mutant(7, SEEN[5], 0.25),
    "none": letters(50, 100),
}
EXACT = {"equal": 1, "reverse_complement": 1, "contains": 1, "contained": 2, "overlaps": 0, "similar": 0}


def reasons(found: Leaks, place: str) -> dict[str, str]:
    return dict(zip(ASKED, (REASONS[code] for code in found.found[place].reasons_N.tolist()), strict=True))


def test_each_reason_by_hand(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, {f"s{number}": text for number, text in enumerate(SEEN)})
    found = leaks(corpus, task_of(ASKED))
    expected = {name: name.removesuffix("_other_strand") for name in ASKED}
    expected |= dict.fromkeys(("similar", "similar_other_strand", "far"), "none")
    assert reasons(found, PRETRAINING) == expected
    assert found.found[PRETRAINING].counts() == EXACT
    assert found.found[PRETRAINING].sequences == 6
    assert found.found[TRAINING].counts() == dict.fromkeys(EXACT, 0)
    data = found.to_data()
    assert (data["test"], data["leaked"], data["found"][PRETRAINING]["contained"]) == (9, 5, 2)


def test_relatives_are_found_by_identity_on_both_strands(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, {f"s{number}": text for number, text in enumerate(SEEN)})
    found = leaks(corpus, task_of(ASKED), identity=0.9)
    expected = {name: name.removesuffix("_other_strand") for name in ASKED} | {"far": "none"}
    assert reasons(found, PRETRAINING) == expected
    assert found.found[PRETRAINING].counts() == {**EXACT, "similar": 2}
    identity = dict(zip(ASKED, found.found[PRETRAINING].identity_N.tolist(), strict=True))
    assert identity["equal"] == identity["contained"] == 1
    assert 0.9 <= identity["similar"] < 0.96  # 92 of 100 letters; an alignment may end before the last of them
    assert np.isnan([identity["far"], identity["none"]]).all()
    stricter = leaks(corpus, task_of(ASKED), identity=0.97)
    assert stricter.found[PRETRAINING].counts() == EXACT


def test_the_tasks_own_training_is_looked_through_too() -> None:
    found = leaks(None, task_of(ASKED, {f"s{number}": text for number, text in enumerate(SEEN)}))
    assert list(found.found) == [TRAINING]
    assert found.found[TRAINING].counts() == EXACT
    assert found.found[TRAINING].sequences == 7  # with the one of validation
    assert found.leaked_N.tolist() == [True] * 5 + [False] * 4


def test_what_was_held_out_of_pretraining_was_not_seen(tmp_path: Path) -> None:
    texts = {f"s{number}": letters(number, 60) for number in range(40)}
    corpus = corpus_of(tmp_path, texts, split={"by": "random", "validation": 0.2, "test": 0.4})
    found = leaks(corpus, task_of(texts))
    assert (found.found[PRETRAINING].sequences, found.found[PRETRAINING].counts()["equal"]) == (24, 24)


def test_of_a_genome_in_pieces_a_shared_stretch_counts(tmp_path: Path) -> None:
    contig = letters(3, 400)
    settings = {"segment": {"method": "random", "shortest": 100, "longest": 100}, "split": {"validation": 0, "test": 0}}
    corpus = corpus_of(tmp_path, {"chr": contig}, **settings)
    across, none = contig[60:140], letters(4, 80)  # across the cut at 100
    found = leaks(corpus, task_of({"across": across, "other": other_strand(across), "none": none}))
    assert found.found[PRETRAINING].reasons_N.tolist() == [REASONS.index("overlaps")] * 2 + [0]


def test_numbers_with_and_without(tmp_path: Path) -> None:
    found = leaks(
        corpus_of(tmp_path, {"s": SEEN[0]}), task_of({"a": SEEN[0], "b": SEEN[1], "c": SEEN[2], "d": SEEN[3]})
    )
    numbers = found.with_and_without({"accuracy": [1.0, 0.0, 1.0, 0.0]}, ["u", "v", "v", "w"])
    assert {name: part["n"] for name, part in numbers.items()} == {"all": 4, "without_leaks": 3, "leaks_only": 1}
    assert numbers["all"]["accuracy"]["value"] == 0.5
    interval = bootstrap([0.0, 1.0, 0.0], clusters=["v", "v", "w"])
    without = numbers["without_leaks"]["accuracy"]
    assert (without["value"], without["low"], without["high"]) == (interval.value, interval.low, interval.high)
    assert numbers["leaks_only"]["accuracy"]["value"] == 1
    assert numbers["leaks_only"]["accuracy"]["low"] is None  # one unit has no interval
    assert "leaks_only" not in leaks(None, task_of({"a": SEEN[0]})).with_and_without({"accuracy": [1.0]})


def test_of_a_variant_the_corpus_may_hold_the_reference_and_training_the_change(tmp_path: Path) -> None:
    def variant(name: str, reference: str, at: int) -> Example:
        changed = reference[:at] + {"A": "C"}.get(reference[at], "A") + reference[at + 1 :]
        return Example(reference, 1.0, name, alternative=changed)

    test = (variant("learned", SEEN[0], 3), variant("place", SEEN[0], 4), variant("far", letters(8, 60), 5))
    train = (variant("t", SEEN[0], 3),)
    task = Task("toy", Shape.VARIANT, {"train": train, "validation": (variant("v", SEEN[1], 9),), "test": test})
    found = leaks(corpus_of(tmp_path, {"s": SEEN[0]}), task)
    assert found.found[PRETRAINING].reasons_N.tolist() == [1, 1, 0]  # the stretch itself is in the corpus
    assert found.found[TRAINING].reasons_N.tolist() == [1, 0, 0]  # but only one of the two changes was trained on
    assert list(leaks(None, task, learned=False).found) == []
    assert leaks(None, task, learned=False).leaked_N.tolist() == [False] * 3


def test_intervals_are_of_the_level_asked_for() -> None:
    found, scores = (
        leaks(None, task_of({str(n): text for n, text in enumerate(SEEN)})),
        {"accuracy": [1.0, 0, 1, 0, 1, 0]},
    )
    wide, narrow = (found.with_and_without(scores, level=level)["all"]["accuracy"] for level in (0.99, 0.5))
    assert wide["low"] < narrow["low"] < narrow["high"] < wide["high"]


def test_identity_without_mmseqs_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homology.util, "find_spec", lambda name: None)
    monkeypatch.setattr(homology.shutil, "which", lambda name: None)
    assert leaks(None, task_of(ASKED)).leaked_N.sum() == 0
    with pytest.raises(InputError, match=r"identity: 0.9 needs MMseqs2 \(pip install 'nuclex\[cluster\]'\)"):
        leaks(None, task_of(ASKED), identity=0.9)
    with pytest.raises(InputError, match="coverage"):
        leaks(None, task_of(ASKED), coverage=1.5)


@pytest.mark.real
@pytest.mark.slow
def test_the_published_ncrna_split_repeats_itself() -> None:
    task = NcrnaClassConfig().read()
    found = leaks(None, task)
    assert found.found[TRAINING].counts()["equal"] == task.seen.sum() == 347


@pytest.mark.real
@pytest.mark.slow
def test_a_corpus_of_the_tested_family_is_full_of_leaks(tmp_path: Path) -> None:
    task = ArchiveiiConfig(family="tRNA", test_limit=200).read()
    test = {example.id: example.letters for example in task.examples("test")[:100]}
    corpus = corpus_of(tmp_path, {**test, "none": letters(0, 80)})
    found = leaks(corpus, task)
    distinct = {example.letters for example in task.examples("test")[:100]}
    planted = sum(example.letters in distinct for example in task.examples("test"))
    assert found.found[PRETRAINING].counts()["equal"] == planted
    assert leaks(corpus, task, identity=0.8).found[PRETRAINING].counts()["similar"] > 0


@pytest.mark.real
@pytest.mark.slow
def test_real_counts_are_those_of_plain_searching(tmp_path: Path) -> None:
    files = [path for name in ("gtrnadb", "rfam-rf00005") for path in fetch(name)]
    settings = {"cluster": {"method": "none"}, "split": {"by": "random", "validation": 0, "test": 0}}
    build_corpus(files, tmp_path / "corpus", CorpusConfig.from_data(settings))
    opened = Corpus.open(tmp_path / "corpus")
    held = {to_dna(opened.sequence(row)) for row in range(len(opened))}
    whole, long = b"\n".join(held), [text for text in held if len(text) >= 32]
    task = ArchiveiiConfig(family="tRNA", test_limit=100).read()
    expected = []
    for example in task.examples("test"):
        both = [to_dna(example.letters.encode())]
        both.append(DNA_IUPAC.reverse_complement(both[0]))
        if both[0] in held or both[1] in held:
            expected.append("equal" if both[0] in held else "reverse_complement")
        elif any(part in text for text in both for part in long):
            expected.append("contains")
        else:
            expected.append("contained" if both[0] in whole or both[1] in whole else "none")
    found = leaks(opened, task).found[PRETRAINING]
    assert [REASONS[code] for code in found.reasons_N.tolist()] == expected
    assert expected.count("contains") > 20
