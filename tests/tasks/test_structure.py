"""Structures from Vienna files and from the simulator, with families held out whole."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from nuclex.bio.secondary_structure import to_dot_bracket
from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.data.simulate import SimulationConfig, simulate, write_structures
from nuclex.tasks import DotBracketConfig, SimulatedStructureConfig, Task, read_vienna
from nuclex.tasks.base import SPLITS

SMALL = SimulationConfig(families=5, members=4)


def families(task: Task, split: str) -> set[str | None]:
    return {example.group for example in task.splits[split]}


@pytest.mark.parametrize("suffix", ["dbn", "dbn.gz", "dbn.xz"])
def test_what_the_simulator_writes_is_read_back(tmp_path: Path, suffix: str) -> None:
    rnas = list(simulate(SMALL))
    path = tmp_path / "sim.dbn"
    write_structures(rnas, path)
    packed = tmp_path / f"packed.{suffix}"
    packers = {"gz": gzip.compress, "xz": lzma.compress, "dbn": bytes}
    packed.write_bytes(packers[suffix.split(".")[-1]](path.read_bytes()))
    found = list(read_vienna(packed))
    assert [(item.id, item.group, item.sequence) for item in found] == [(r.id, r.family, r.sequence) for r in rnas]
    assert [to_dot_bracket(item.pairs, len(item.sequence)) for item in found] == [rna.structure for rna in rnas]


def test_named_families_are_held_out(tmp_path: Path) -> None:
    write_structures(list(simulate(SMALL)), tmp_path / "sim.dbn")
    config = DotBracketConfig(
        train=tmp_path / "sim.dbn", validation_families=("sim02",), test_families=("sim04", "sim05")
    )
    task = config.read()
    assert [families(task, split) for split in SPLITS] == [{"sim01", "sim03"}, {"sim02"}, {"sim04", "sim05"}]
    assert (
        SimulatedStructureConfig(simulation=SMALL, validation_families=("sim02",), test_families=("sim04", "sim05"))
        .read()
        .digest
        == task.digest
    )


@pytest.mark.parametrize("by", ["family", "sequence"])
def test_a_share_is_held_out(tmp_path: Path, by: str) -> None:
    write_structures(list(simulate(SMALL)), tmp_path / "sim.dbn")
    task = load_config(DotBracketConfig, None, {"train": str(tmp_path / "sim.dbn"), "by": by, "test_share": 0.4}).read()
    assert sum(len(task.splits[split]) for split in SPLITS) == 20
    assert task.counts()["test_seen_in_train_or_validation"] == 0
    if by == "family":
        assert len(families(task, "test")) == 2
        assert not families(task, "train") & families(task, "test")
    else:
        assert len(families(task, "test")) > 2


def test_energies_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.dbn"
    path.write_text("\n>a RNAfold\r\nGGAAACC\n((...)) (-1.20)\n\n>b\nACG\n...\n")
    found = list(read_vienna(path))
    assert [(item.id, item.pairs.tolist()) for item in found] == [("a", [[0, 6], [1, 5]]), ("b", [])]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"x\.dbn: is empty"),
        ("ACGU\n....\n", r"x\.dbn:1: found 'ACGU'; a header '>id' is needed here"),
        (">a\nACGU\n....\n>\nACG\n...\n", r"x\.dbn:4: found '>'; a header"),
        (">a\nACGU\n...\n", r"x\.dbn:1: 'a' has 4 nucleotides but 3 marks of structure"),
        (">a\nACGU\n", r"x\.dbn:1: 'a' has 4 nucleotides but 0 marks"),
        (">a\n(())\nACGU\n", r"x\.dbn:1: 'a' needs a sequence of letters in its second line, found '\(\(\)\)'"),
        (">b\nAC\n..\n>a\nACGU\n(..(\n", r"x\.dbn:4: 'a': dot-bracket: '\(' at position"),
    ],
)
def test_a_bad_file_gets_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "x.dbn").write_text(text)
    with pytest.raises(InputError, match=sentence):
        list(read_vienna(tmp_path / "x.dbn"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b">\x97\nGC\n()\n", r"a\.dbn:1: holds bytes that are not text \(UTF-8\)"),
        (b">a\nGC\n()\n\x0b>b\nGC\n()\n", r"a\.dbn:4: holds the control character '\\x0b'"),
        (b">a\nGF\n()\n", r"a\.dbn:1: 'a' has 'F' at position 1; allowed: T, A, C, G, U"),
        (b">a\nG\xc3\xa9\n()\n", r"a\.dbn:1: 'a' has '\xe9' at position 1; allowed"),
    ],
)
def test_what_fuzzing_found(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "a.dbn"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        list(read_vienna(path))
    path.write_bytes(b"\xef\xbb\xbf>a\r\nGC\r\n()\r\n")
    assert [example.sequence for example in read_vienna(path)] == ["GC"]


def test_a_missing_or_damaged_file_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_vienna(tmp_path / "none.dbn"))
    whole = gzip.compress(b">a\nACGU\n....\n" * 2000)
    (tmp_path / "cut.dbn.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.dbn\.gz:\d+: the compressed file is damaged"):
        list(read_vienna(tmp_path / "cut.dbn.gz"))


def test_wrong_families_get_a_sentence(tmp_path: Path) -> None:
    write_structures(list(simulate(SMALL)), tmp_path / "sim.dbn")
    with pytest.raises(InputError, match="family 'sim09': not among the families there are: sim01, sim02"):
        DotBracketConfig(train=tmp_path / "sim.dbn", test_families=("sim09",)).read()
    keys = {"train": "sim.dbn", "test_families": ["a"], "validation_families": ["a"]}
    with pytest.raises(InputError, match="'a' is both in validation_families and in test_families"):
        load_config(DotBracketConfig, None, keys)
    with pytest.raises(InputError, match="test and test_families: give a file or families, not both"):
        load_config(DotBracketConfig, None, {"train": "sim.dbn", "test": "x.dbn", "test_families": ["a"]})
