"""What nuclex itself writes: every file of a bundle, a corpus and a checkpoint, behind sums that fit the broken file.

The manifest is written anew after each mutation, so that the readers behind it are reached. They are the second wall:
whoever edits a file and its sum must still get a sentence or a valid object, never a crash.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from nuclex_fuzz.judging import Format

from nuclex.bundle import Bundle, Record, load, write_bundle
from nuclex.core.artifact import MANIFEST, verify_folder
from nuclex.core.errors import InputError
from nuclex.core.progress import quiet
from nuclex.data.corpus import CorpusConfig, build_corpus, corpus_info
from nuclex.data.store import Corpus
from nuclex.models import LanguageModel, RobertaConfig
from nuclex.tokenizers import TOKENIZERS, NucleotideConfig
from nuclex.training.checkpoint import Place, load_checkpoint, save_checkpoint
from nuclex.training.pretrain import PretrainConfig
from nuclex.training.run import opened_run
from nuclex.training.tracking import JsonLines, read_metrics

PROBE = "GATTACAGATTACAGGGCCC"
READER = NucleotideConfig().build()
MODEL = RobertaConfig(depth=1, width=8, heads=2, inner=8, max_positions=80).backbone()
IDENTITY = {"config": "a" * 64, "corpus": "b" * 64, "tokenizer": "c" * 64, "seed": 0}


def small_model(vocabulary_size: int = 40) -> LanguageModel:
    """A network of some hundred weights, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LanguageModel(MODEL, vocabulary_size=vocabulary_size, pad_id=1, mask_id=4).eval()


def make_bundle(folder: Path) -> None:
    tokenizer = TOKENIZERS.parse({"kind": "bpe", "vocab_size": 40}).train(["ACGTTGCAACGTACGGTACCATGA" * 4])
    record = Record(
        {"seed": 3}, {"created": "2026"}, {"validation_loss": 1.25}, None, "tiny", "cc-by-4.0", ("A note.",)
    )
    write_bundle(folder, small_model(len(tokenizer)), tokenizer, record)


def make_corpus(folder: Path) -> None:
    fasta = folder.with_name("families.fa")
    chance = np.random.default_rng(0)
    letters = ["".join(chance.choice(list("ACGTN"), 20 + 3 * number, p=[0.24] * 4 + [0.04])) for number in range(24)]
    fasta.write_text("".join(f">r{n} family=f{n % 5}\n{text}\n" for n, text in enumerate(letters)))
    settings = {"cluster": {"method": "none"}, "split": {"by": "random", "validation": 0.2, "test": 0.1}}
    settings |= {"filter": {"min_length": 5, "max_ambiguous": 0.5}}
    build_corpus([fasta], folder, CorpusConfig.from_data(settings))
    fasta.unlink()


def make_checkpoint(folder: Path) -> None:
    model = small_model()
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    save_checkpoint(folder.parent, model, optimizer, Place(step=1, tokens=7, last={"loss": 1.5}), IDENTITY)
    (folder.parent / "step-00000001").rename(folder)


def make_run(folder: Path) -> None:
    """A run that has begun: its config and four lines of metrics."""
    with opened_run(folder, run_config(), resume=False):
        pass
    records = [{"step": step, "loss": 1 / step, "note": "ok"} for step in (1, 2, 3)]
    lines = [json.dumps(record) for record in [*records, {"step": 4, "loss": None}]]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")


@functools.cache
def run_config() -> PretrainConfig:
    tokenizer, model = {"kind": "nucleotide"}, {"kind": "rinalmo", "depth": 1, "width": 8, "heads": 2}
    return PretrainConfig.from_data({"corpus": "corpus", "tokenizer": tokenizer, "model": model})


def check_run_config(path: Path) -> None:
    with quiet(), opened_run(path.parent, run_config(), resume=True):
        stored = json.loads(path.read_bytes())
        assert stored == run_config().to_data(), "another config was accepted"


def check_metrics(path: Path) -> None:
    """What can be read up to the step of the checkpoint stays, and nothing else."""
    with quiet():
        log = JsonLines(path, resume_step=3, lines=3)
        log.record({"step": 4})
        log.close()
    records = read_metrics(path.parent)
    assert 1 <= len(records) == log.lines <= 4
    assert all(record["step"] <= 3 for record in records[:-1])
    assert records[-1] == {"step": 4}


def resum(path: Path) -> None:
    """Write the sums of one changed file, as nuclex writes manifests."""
    manifest = path.parent / MANIFEST
    stored = json.loads(manifest.read_text())
    content = path.read_bytes()
    stored["files"][path.name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest.write_text(json.dumps(stored, indent=2, ensure_ascii=False) + "\n")


def vector(bundle: Bundle) -> list[float]:
    """What a model makes of one sequence."""
    from nuclex.models import Layout

    tokens_T = torch.from_numpy(bundle.tokenizer.encode(PROBE))
    with torch.no_grad():
        return bundle.model.encode(tokens_T, Layout.of(np.array([len(tokens_T)]), "cpu")).mean(0).tolist()


def check_bundle(path: Path, expected: list[float]) -> None:
    resum(path)
    bundle = load(path.parent)
    assert np.allclose(vector(bundle), expected, atol=1e-6), "another model was accepted"
    stored = json.loads((path.parent / "nuclex.json").read_bytes())
    for name, value in bundle.record.to_data().items():
        assert value == stored[name], f"the record's {name} is not the file's"
    assert bundle.task is None


def check_corpus(path: Path) -> None:
    """Every row is whole: the length is that of its letters, id, source, split and cluster are there.

    Whether the letters are nucleotides is for the tokenizer to say, which refuses what it does not know.
    """
    resum(path)
    corpus = Corpus.open(path.parent)
    rows = range(len(corpus))
    (sources_N, names), families = corpus.sources, corpus.families
    for row in rows:
        letters = corpus.sequence(row)
        with suppress(InputError):
            assert len(READER.encode(letters)) == len(letters) + 2
        assert len(letters) == corpus.lengths[row], f"row {row} has {len(letters)} letters, not {corpus.lengths[row]}"
        assert corpus.ids(row).isprintable()
        assert 0 <= sources_N[row] < len(names)
    assert len(corpus.clusters) == len(corpus.split_codes) == len(rows)
    assert (corpus.clusters >= 0).all()
    assert families is None or len(families) == len(rows)
    json.dumps(corpus_info(path.parent))


def check_checkpoint(path: Path) -> None:
    resum(path)
    verify_folder(path.parent)
    model = small_model()
    optimizer = torch.optim.AdamW(model.parameters())
    with quiet():
        place = load_checkpoint(path.parent, model, optimizer, IDENTITY)
    for name in ("step", "epoch", "batch", "tokens"):
        value = getattr(place, name)
        assert isinstance(value, int), f"{name} is {value!r}"
        assert value >= 0, f"{name} is {value!r}"
    assert all(isinstance(value, float) for value in place.last.values())
    for value in model.state_dict().values():
        assert value.dtype == torch.float32
    optimizer.step()


def check_manifest(path: Path, expected: bytes) -> None:
    verify_folder(path.parent)
    assert path.read_bytes() == expected, "an edited manifest was accepted"


def artefact_formats(home: Path) -> tuple[Format, ...]:
    """Make the artefacts once in ``home``; every format works on a copy."""
    makers = {"bundle": make_bundle, "corpus": make_corpus, "checkpoint": make_checkpoint, "run": make_run}
    with quiet():
        for name, make in makers.items():
            make(home / name)
    expected = vector(load(home / "bundle"))
    bundle_check = functools.partial(check_bundle, expected=expected)
    manifest = (home / "bundle" / MANIFEST).read_bytes()
    return (
        _format(home / "bundle" / "config.json", bundle_check),
        _format(home / "bundle" / "nuclex.json", bundle_check),
        _format(home / "bundle" / "tokenizer.json", bundle_check),
        _format(home / "bundle" / "tokenizer_config.json", bundle_check),
        _format(home / "bundle" / "model.safetensors", bundle_check),
        _format(home / "bundle" / MANIFEST, functools.partial(check_manifest, expected=manifest)),
        _format(home / "corpus" / "corpus.json", check_corpus),
        _format(home / "corpus" / "sequences-00000.arrow", check_corpus),
        _format(home / "checkpoint" / "checkpoint.json", check_checkpoint),
        _format(home / "checkpoint" / "state.safetensors", check_checkpoint),
        _format(home / "run" / "config.json", check_run_config),
        _format(home / "run" / "metrics.jsonl", check_metrics, mended=True),
    )


def _format(file: Path, check: Callable[[Path], None], mended: bool = False) -> Format:
    def prepare(folder: Path) -> Path:
        shutil.copytree(file.parent, folder / "artefact")
        return folder / "artefact" / file.name

    return Format(f"{file.parent.name}/{file.name}", (file.read_bytes(),), check, prepare, place="HOME", mended=mended)
