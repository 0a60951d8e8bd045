"""What the quickstart works with: simulated families, or the real ncRNA of the catalogue, in one form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nuclex.bio.base_pairs import Pairs
from nuclex.bio.secondary_structure import parse_dot_bracket
from nuclex.core.config import load_config
from nuclex.core.errors import InputError, OutsideError
from nuclex.core.randomness import key, permutation
from nuclex.data.catalog import available, fetch
from nuclex.data.corpus import CorpusConfig
from nuclex.data.homology import ClusterConfig
from nuclex.data.simulate import SimulatedRna, SimulationConfig, simulate, write_fasta, write_structures
from nuclex.data.split import SplitConfig
from nuclex.data.store import Corpus
from nuclex.training.finetune import FinetuneConfig
from nuclex.training.pretrain import PretrainConfig

Choice = Literal["simulated", "ncrna"]
NCRNA = (
    "mirbase-hairpin",
    "gtrnadb",
    "silva-16s",
    "silva-23s",
    "rfam-5.8s",
    "rfam-rf00001",
    "rfam-rf00005",
)
"""What `--data ncrna` is made of: hairpins, tRNAs, ribosomal RNAs."""


STRUCTURES = "simulated-families.dbn"


@dataclass(frozen=True)
class Known:
    """A molecule whose structure is known, for asking what the model learned of pairing."""

    id: str
    sequence: bytes
    pairs: Pairs
    group: str


@dataclass(frozen=True)
class Materials:
    """The input of the whole story; ``notice`` is the banner of its report, ``about`` a paragraph on the data."""

    choice: Choice
    inputs: tuple[Path, ...]
    corpus: CorpusConfig
    recipe: PretrainConfig
    about: str
    notice: str = ""


PAIRED = 200
"""Real molecules of each family that are asked for their pairs: each is read many times, and more change no verdict."""


def gather(choice: Choice, folder: Path, seed: int) -> Materials:
    """Make or fetch the sequences; ``folder`` takes what is made."""
    if choice == "ncrna":
        return _ncrna(seed)
    simulation = SIMULATION.model_copy(update={"seed": seed})
    rnas = list(simulate(simulation))
    write_fasta(rnas, folder / "simulated-families.fa")
    write_structures(rnas, folder / STRUCTURES)
    split = SplitConfig(by="cluster", validation=0.1, test=0.15)
    about = (
        f"{simulation.families} RNA families of {simulation.members} members were simulated: each family has one "
        "structure; along a random tree paired bases change together, unpaired bases change alone, loops gain and lose "
        "bases. The seed alone decides what they are, and every pair is known."
    )
    return Materials(
        choice,
        (folder / "simulated-families.fa",),
        CorpusConfig(seed=seed, split=split),
        load_config(PretrainConfig, "pretrain/quickstart", {"seed": seed}),
        about,
        "Simulated data: these families were made up by nuclex. The numbers show that the chain works; they say "
        "nothing about real RNA.",
    )


SIMULATION = SimulationConfig(
    families=4,
    members=400,
    shortest=40,
    longest=90,
    outer_stems=2,
    branching=0.3,
    pair_rate=4.0,
    conserved=0.5,
    indel_rate=0.01,
    star=0.9,
)
"""Small enough for a model of 150 000 parameters to find the base pairs in two minutes."""


def _ncrna(seed: int) -> Materials:
    missing = [name for name in NCRNA if not available(name)]
    if missing:
        try:
            for name in missing:
                fetch(name)
        except OutsideError as error:
            raise OutsideError(f"the real ncRNA data are not at hand: {error}") from None
    split = SplitConfig(by="cluster", validation=0.03, test=0.03)
    about = (
        "Hairpins of miRBase, tRNA genes of GtRNAdb, archaeal 16S and 23S rRNA of SILVA 119, and Rfam's 5.8S rRNA, "
        "5S rRNA and tRNA families. Sequences that share 70 % identity over 80 % of their lengths are one cluster, and "
        "a cluster is never divided between the splits."
    )
    return Materials(
        "ncrna",
        tuple(path for name in NCRNA for path in fetch(name)),
        CorpusConfig(seed=seed, split=split, cluster=ClusterConfig()),
        load_config(PretrainConfig, "pretrain/quickstart-ncrna", {"seed": seed}),
        about,
    )


def known_structures(materials: Materials, folder: Path, corpus: Corpus) -> list[Known]:
    """Molecules with known structures that the model was not trained on.

    Simulated: the test split. Real: of ArchiveII's tRNAs and 5S rRNAs whose sequence is not in the corpus's train split
    (relatives of them are), a fixed random sample.
    """
    if materials.choice == "simulated":
        rnas = _by_id(folder)
        rows = corpus.indices("test")
        return [_known(rnas[corpus.ids(int(row))], f"cluster {corpus.clusters[row]}") for row in rows]
    from nuclex.tasks import ArchiveiiConfig

    trained = {corpus.sequence(int(row)) for row in corpus.indices("train")}
    found = []
    for family in ("tRNA", "5s"):
        unseen = []
        for example in ArchiveiiConfig(family=family).read().examples("test"):
            letters = example.letters.replace("U", "T").encode()
            if letters not in trained and len(example.pairs):
                unseen.append(Known(example.id, letters, example.pairs, example.letters))
        found += [unseen[place] for place in np.sort(permutation(key(0, family), len(unseen))[:PAIRED])]
    return found


def structure_recipe(materials: Materials, folder: Path, corpus: Corpus, bundle: Path) -> FinetuneConfig:
    """The fine-tuning run for secondary structure: the corpus's own splits, or ArchiveII with tRNA held out."""
    if materials.choice == "ncrna":
        overrides: dict[str, Any] = {"bundle": str(bundle), "seed": materials.recipe.seed}
        return load_config(FinetuneConfig, "finetune/archiveii-structure-small", overrides)
    rnas, files = _by_id(folder), {}
    limits = {"train": 300, "validation": 40, "test": 150}
    for split, limit in limits.items():
        rows = corpus.indices(split)
        chosen = [rnas[corpus.ids(int(row))] for row in np.sort(rows)]
        files[split] = str(folder / f"structures-{split}.dbn")
        write_structures(chosen, files[split])
        if not chosen:
            raise InputError(f"the {split} split of the simulated corpus is empty; simulate more members")
        limits[split] = min(limit, len(chosen))
    overrides = {"bundle": str(bundle), "seed": materials.recipe.seed, "task.kind": "dot-bracket"}
    overrides |= {f"task.{split}": path for split, path in files.items()}
    overrides |= {f"task.{split}_limit": limit for split, limit in limits.items()}
    return load_config(FinetuneConfig, "finetune/quickstart-structure", overrides)


def class_recipe(materials: Materials, bundle: Path) -> FinetuneConfig | None:
    """The fine-tuning run for ncRNA classes; real data only."""
    if materials.choice == "simulated":
        return None
    overrides = {"bundle": str(bundle), "seed": materials.recipe.seed}
    return load_config(FinetuneConfig, "finetune/quickstart-class", overrides)


def _by_id(folder: Path) -> dict[str, SimulatedRna]:
    lines = (folder / STRUCTURES).read_text().splitlines()
    found = {}
    for header, sequence, structure in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        name, family = header[1:].split()[:2]
        found[name] = SimulatedRna(name, family.removeprefix("family="), sequence, structure)
    return found


def _known(rna: SimulatedRna, group: str) -> Known:
    return Known(rna.id, rna.sequence.replace("U", "T").encode(), parse_dot_bracket(rna.structure), group)
