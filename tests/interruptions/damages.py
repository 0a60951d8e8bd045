"""What happens to files on disks: cut, flipped, edited, swapped, lost, added, emptied."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs import make_bundle

Damage = Callable[[Path, Path, random.Random], None]
"""Damage the first folder, at random; the second is a sound one of the same sort with other content."""


def _file(folder: Path, chance: random.Random) -> Path:
    return chance.choice(sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size))


def _twins(folder: Path, other: Path, chance: random.Random) -> tuple[Path, Path]:
    """A file and its namesake in the other folder, of different content."""
    pairs = [(path, other / path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
    return chance.choice([(a, b) for a, b in pairs if b.is_file() and a.read_bytes() != b.read_bytes()])


def truncated(folder: Path, other: Path, chance: random.Random) -> None:
    path = _file(folder, chance)
    path.write_bytes(path.read_bytes()[: chance.randrange(1, path.stat().st_size)])


def one_bit_flipped(folder: Path, other: Path, chance: random.Random) -> None:
    path = _file(folder, chance)
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def edited(folder: Path, other: Path, chance: random.Random) -> None:
    """As by hand: a digit of a text becomes another one, and the file keeps its length."""
    texts = [path for path in sorted(folder.rglob("*")) if path.suffix in (".json", ".md") and path.is_file()]
    path = chance.choice(texts)
    content = bytearray(path.read_bytes())
    place = chance.choice([place for place, code in enumerate(content) if chr(code).isdigit()])
    content[place] = ord(str((int(chr(content[place])) + chance.randint(1, 9)) % 10))
    path.write_bytes(content)


def swapped(folder: Path, other: Path, chance: random.Random) -> None:
    """A file of another artefact in the place of this one's."""
    mine, its = _twins(folder, other, chance)
    shutil.copyfile(its, mine)


def stale_manifest(folder: Path, other: Path, chance: random.Random) -> None:
    shutil.copyfile(other / "manifest.json", folder / "manifest.json")


def all_but_the_manifest(folder: Path, other: Path, chance: random.Random) -> None:
    """Another artefact's files under this one's manifest."""
    for path in other.rglob("*"):
        if path.is_file() and path.name != "manifest.json":
            shutil.copyfile(path, folder / path.relative_to(other))


def missing(folder: Path, other: Path, chance: random.Random) -> None:
    _file(folder, chance).unlink()


def extra(folder: Path, other: Path, chance: random.Random) -> None:
    home = chance.choice([folder, *(path for path in folder.rglob("*") if path.is_dir())])
    (home / f"copy-{chance.randrange(100)}.json").write_bytes(chance.randbytes(chance.randrange(40)))


def emptied(folder: Path, other: Path, chance: random.Random) -> None:
    _file(folder, chance).write_bytes(b"")


DAMAGES: tuple[Damage, ...] = (
    truncated,
    one_bit_flipped,
    edited,
    swapped,
    stale_manifest,
    all_but_the_manifest,
    missing,
    extra,
    emptied,
)


def renamed(folder: Path, other: Path, chance: random.Random) -> None:
    """A whole sound checkpoint under the name of another step."""
    shutil.rmtree(folder)
    shutil.copytree(other, folder)


@dataclass
class Artefacts:
    """Sound artefacts of each sort; two bundles and two corpora, and the checkpoints of one run."""

    checkpoints: Path
    bundles: tuple[Path, Path]
    corpora: tuple[Path, Path]


def make_artefacts(folder: Path) -> Artefacts:
    """Three checkpoints of a pre-training, two bundles and two corpora."""
    from jobs import PRETRAIN, make_jobs

    from nuclex.core.config import load_config
    from nuclex.core.progress import quiet
    from nuclex.data.corpus import CorpusConfig, build_corpus
    from nuclex.training.pretrain import PretrainConfig, pretrain

    make_jobs(folder)
    make_bundle(folder / "other bundle", 1)
    settings = {"seed": 3, "cluster": {"method": "none"}, "split": {"by": "random", "validation": 0.2, "test": 0.1}}
    training = {**PRETRAIN["training"], "steps": 12, "checkpoint_every": 4, "keep_checkpoints": 3}
    given = {**PRETRAIN, "corpus": str(folder / "corpus"), "training": training}
    with quiet():
        build_corpus([folder / "classes.fa"], folder / "other corpus", CorpusConfig.from_data(settings))
        pretrain(load_config(PretrainConfig, None, given), folder / "trained")
    pair = (folder / "bundle", folder / "other bundle"), (folder / "corpus", folder / "other corpus")
    return Artefacts(folder / "trained" / "checkpoints", *pair)


def recognised(artefacts: Artefacts, sort: str, damage: Damage, chance: random.Random, work: Path) -> bool:
    """Damage a copy of one artefact; whether it is noticed and, for a checkpoint, the one before is used and named."""
    shutil.rmtree(work, ignore_errors=True)
    if sort == "checkpoint":
        return _checkpoint_recognised(artefacts, damage, chance, work)
    from nuclex.bundle import load
    from nuclex.core.errors import CorruptError
    from nuclex.data.store import Corpus

    sound, other = artefacts.bundles if sort == "bundle" else artefacts.corpora
    shutil.copytree(sound, work)
    damage(work, other, chance)
    try:
        load(work) if sort == "bundle" else Corpus.open(work)
    except CorruptError as error:
        return str(work) in str(error)
    return False


def _checkpoint_recognised(artefacts: Artefacts, damage: Damage, chance: random.Random, work: Path) -> bool:
    from nuclex.training.checkpoint import latest_checkpoint

    shutil.copytree(artefacts.checkpoints, work)
    before, newest = sorted(work.glob("step-*"))[-2:]
    damage(newest, before, chance)
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        used = latest_checkpoint(work)
    lines = said.getvalue().splitlines()
    return used == before and len(lines) == 1 and newest.name in lines[0] and before.name in lines[0]


def try_all(artefacts: Artefacts, trials: int, seed: int, work: Path) -> dict[tuple[str, str], Counter[bool]]:
    """So many trials, spread over sorts and kinds of damage; how many of each were recognised."""
    kinds: list[tuple[str, Damage]] = [
        (sort, damage) for damage in DAMAGES for sort in ("checkpoint", "bundle", "corpus")
    ]
    kinds.append(("checkpoint", renamed))
    found: dict[tuple[str, str], Counter[bool]] = {(sort, damage.__name__): Counter() for sort, damage in kinds}
    for number in range(trials):
        sort, damage = kinds[number % len(kinds)]
        chance = random.Random(f"{seed} {number}")
        found[sort, damage.__name__][recognised(artefacts, sort, damage, chance, work)] += 1
    return found


def untouched(folder: Path, other: Path, chance: random.Random) -> None:
    """No damage: what must not be taken for one."""


def sound_ones_refused(artefacts: Artefacts, work: Path) -> list[bool]:
    """For each sort, whether an artefact that nothing happened to is taken for a damaged one."""
    sorts = ("checkpoint", "bundle", "corpus")
    return [recognised(artefacts, sort, untouched, random.Random(0), work) for sort in sorts]
