"""Many changes at once: the promoters and splice sites as published, and what they are measured against."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nuclex.bio.alphabet import DNA
from nuclex.bundle import load
from nuclex.core.errors import InputError
from nuclex.data import catalog
from nuclex.data.read import read_sequences
from nuclex.evaluation.variants import variant_benchmark
from nuclex.inference.likelihood import log_p
from nuclex.objectives import Question
from nuclex.tasks import SPLITS, Shape, SortSeqConfig, SortSeqVariantsConfig, SpliceMpsaConfig, Task
from nuclex.tasks.base import Example
from nuclex.tasks.mutagenesis import LAC
from nuclex.tasks.table import Table

FEW = ["set," + ",".join(f"ct_{bin}" for bin in range(10)) + ",x"]


def every(task: Task) -> list[Example]:
    return [example for split in SPLITS for example in task.examples(split)]


def changed(*places: int) -> str:
    return "".join(
        {"A": "C", "C": "G", "G": "T", "T": "A"}[base] if n in places else base for n, base in enumerate(LAC)
    )


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small table in the catalogue's place."""
    path = tmp_path / "sorted.csv"
    monkeypatch.setattr(catalog, "fetch", lambda name: [path])
    return path


def test_the_mean_bin_by_hand(table: Path) -> None:
    rows = [
        f"training,0,0,0,0,0,0,0,0,1,1,{LAC}",
        f"training,1,0,0,2,0,0,0,0,0,0,{changed(0, 40)}",
        f"validation,0,0,0,0,1,0,0,0,0,0,{changed(7)}",
        f"test,0,0,0,0,0,0,0,0,0,3,{changed(1, 2, 3)}",
    ]
    table.write_text("\n".join(FEW + rows) + "\n")
    task = SortSeqConfig().read()
    assert {e.sequence: e.number for e in every(task)} == {
        LAC: 8.5, changed(0, 40): 2.0, changed(7): 4.0, changed(1, 2, 3): 9.0,
    }  # fmt: skip
    assert [len(task.examples(split)) for split in SPLITS] == [2, 1, 1]
    assert (task.notes["fewer_reads"], task.notes["read_once"]) == (0, 1)
    variants = SortSeqVariantsConfig().read()
    assert [(e.sequence, e.alternative, e.number) for e in every(variants)] == [
        (LAC, changed(0, 40), -6.5), (LAC, changed(7), -4.5), (LAC, changed(1, 2, 3), 0.5),
    ]  # fmt: skip
    with pytest.raises(InputError, match="the validation split is empty"):
        SortSeqConfig(reads=2).read()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"test,0,0,0,0,0,0,0,0,0,0,{changed(1)}", "sorted.csv:3: the promoter has no read in any bin"),
        (f"test,0,0,0,0,0,0,0,0,0,1.5,{changed(1)}", "sorted.csv:3: the number of reads is '1.5'; a whole number"),
        (f"test,0,0,0,0,0,0,0,0,0,-1,{changed(1)}", "sorted.csv:3: the number of reads is '-1'; a whole number"),
        (f"test,0,0,0,0,0,0,0,0,0,1,{LAC[:-1]}", "sorted.csv:3: the promoter has 74 letters; 75 are needed"),
        (
            f"test,0,0,0,0,0,0,0,0,0,1,{LAC.replace('T', 'U')}",
            "sorted.csv:3: the promoter 'AAUUAA.* stands twice; one row",
        ),
        (f"other,0,0,0,0,0,0,0,0,0,1,{changed(1)}", "sorted.csv:3: the split is 'other'; allowed: train"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(table: Path, row: str, message: str) -> None:
    table.write_text("\n".join([*FEW, f"training,0,0,0,0,0,0,0,0,1,1,{LAC}", row]) + "\n")
    with pytest.raises(InputError, match=message):
        SortSeqConfig().read()


def test_without_the_wild_type_there_is_no_change(table: Path) -> None:
    table.write_text("\n".join([*FEW, f"training,0,0,0,0,0,0,0,0,1,1,{changed(3)}"]) + "\n")
    with pytest.raises(InputError, match=r"the wild type AATTAATGTG.* is in no row"):
        SortSeqVariantsConfig().read()


def test_all_changed_letters_are_hidden_at_once(table: Path, tiny_bundle: Path) -> None:
    places = (0, 3, 40, 41, 74)
    splits = ("training", "validation", "test")
    rows = [f"{split},0,0,1,0,0,0,0,0,0,0,{changed(*places[n:])}" for n, split in enumerate(splits)]
    table.write_text("\n".join([*FEW, f"training,0,0,0,0,0,0,0,0,1,1,{LAC}", *rows]) + "\n")
    bundle = load(tiny_bundle)
    found = variant_benchmark(bundle, SortSeqVariantsConfig().read())
    assert found.skipped == {}
    wild_L, mask = bundle.tokenizer.encode(LAC.encode()), bundle.tokenizer.mask_id
    for n, row in enumerate(found.rows):
        alt_L, place_M = bundle.tokenizer.encode(changed(*places[n:]).encode()), np.array(places[n:]) + 1  # <cls>
        inputs_L = wild_L.copy()
        inputs_L[place_M] = mask
        wanted_M2 = np.stack([wild_L[place_M], alt_L[place_M]], axis=1)
        question = Question(inputs_L, place_M, wild_L[place_M])
        log_p_M2 = log_p(bundle.model, question, np.array([len(wild_L)]), wanted_M2)
        assert row["score"] == pytest.approx((log_p_M2[:, 1] - log_p_M2[:, 0]).sum(), abs=1e-6)
        assert row["convention"] == "masked-marginal"


@pytest.mark.real
def test_promoters_are_what_was_published(mirror: Path) -> None:
    task = SortSeqConfig().read()
    assert task.shape is Shape.SCALAR
    assert [len(task.examples(split)) for split in SPLITS] == [30516, 10067, 9935]
    examples = every(task)
    assert len({example.letters for example in examples}) == 50518
    assert not task.seen.any()
    assert task.notes["read_once"] == 50518 - 1305
    consensus = "".join(
        Counter(column).most_common(1)[0][0] for column in zip(*(e.sequence for e in examples), strict=True)
    )
    assert consensus == LAC
    changes_N = np.array([sum(a != b for a, b in zip(e.sequence, LAC, strict=True)) for e in examples])
    assert changes_N.mean() == pytest.approx(8.63, abs=0.005)
    mean_N = np.array([example.number for example in examples])
    # bin 9 is the brightest: what loses most are the letters that nearly all promoters of E. coli have at -35 and -10
    hit_NL = np.array([[a != b for a, b in zip(e.sequence, LAC, strict=True)] for e in examples])
    effect_L = np.array([mean_N[hit].mean() - mean_N[~hit].mean() for hit in hit_NL.T])
    assert (LAC[39:45], LAC[63:69]) == ("TTTACA", "TATGTT")
    assert set(np.argsort(effect_L)[:3]) == {39, 63 + 1, 63 + 5}
    assert len(every(SortSeqConfig(reads=2).read())) == 1305


@pytest.mark.real
def test_one_read_leaves_a_perfect_model_a_third_of_the_variance(mirror: Path) -> None:
    (path,) = catalog.fetch("lac-sortseq")
    table = Table.of(path)
    bins = [table.place(f"ct_{n}", "") for n in range(10)]
    counts_NB = np.array([[int(fields[place]) for place in bins] for _, fields in table.rows])
    reads_N, bin_B = counts_NB.sum(axis=1), np.arange(10)
    mean_N = counts_NB @ bin_B / reads_N
    more_N = reads_N > 1
    squares_N = (counts_NB * (bin_B - mean_N[:, None]) ** 2).sum(axis=1)
    within = squares_N[more_N].sum() / (reads_N[more_N] - 1).sum()
    single = mean_N[~more_N].var()
    assert (within, single) == (pytest.approx(5.92, abs=0.01), pytest.approx(8.31, abs=0.01))


@pytest.mark.real
def test_the_wild_type_is_in_the_genome_once(mirror: Path) -> None:
    (path,) = catalog.fetch("ecoli-genome")
    (genome,) = (record.sequence.upper() for record in read_sequences(path))
    turned = DNA.reverse_complement(LAC.encode())
    assert genome.count(LAC.encode()) + genome.count(turned) == 1
    assert genome.find(turned) == 366344 - 1


@pytest.mark.real
def test_changes_of_the_promoter_are_told_from_the_wild_type(mirror: Path) -> None:
    task = SortSeqVariantsConfig().read()
    assert task.shape is Shape.VARIANT
    examples = every(task)
    assert len(examples) == 50517
    assert {example.sequence for example in examples} == {LAC}
    assert len({example.alternative for example in examples}) == 50517
    by_id = {example.id: example for example in every(SortSeqConfig().read())}
    assert all(e.number == by_id[e.id].number - 8.5 and e.alternative == by_id[e.id].sequence for e in examples)


@pytest.mark.real
def test_splice_sites_are_what_was_published(mirror: Path) -> None:
    task = SpliceMpsaConfig().read()
    assert [len(task.examples(split)) for split in SPLITS] == [18469, 5936, 6078]
    examples = every(task)
    sites = {example.letters: example.number for example in examples}
    assert len(sites) == len(examples)
    assert not task.seen.any()
    assert {(len(site), site[3], site[4] in "CU") for site in sites} == {(9, "G", True)}
    # the label from the counts: inclusion over all, with one more of each, against the consensus site
    (path,) = catalog.fetch("splice-mpsa")
    table = Table.of(path)
    places = [table.place(name, "") for name in ("tot_ct", "ex_ct", "x")]
    ratio = {f[places[2]]: (float(f[places[1]]) + 1) / (float(f[places[0]]) + 1) for _, f in table.rows}
    for site, label in sites.items():
        assert label == pytest.approx(2 + math.log10(ratio[site] / ratio["CAGGUAAGU"]), abs=1e-9)
    train = {example.letters for example in task.examples("train")}
    for example in task.examples("test"):
        site = example.letters
        assert any(site[:n] + base + site[n + 1 :] in train for n in range(9) for base in "ACGU" if base != site[n])
