"""The whole command line over broken files: one sentence and the right exit code, or a result; nothing in between."""

from __future__ import annotations

import contextlib
import io
import shutil
import signal
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nuclex_fuzz.artefacts import make_bundle, make_corpus, resum
from nuclex_fuzz.judging import Finding, Stuck, Totals, guarded, scratch
from nuclex_fuzz.mutation import mutants
from nuclex_fuzz.recipes import PRETRAIN, PRETRAIN_YAML
from nuclex_fuzz.sequences import CSV, GENBANK

from nuclex.cli.main import main
from nuclex.core.config import load_config
from nuclex.core.progress import quiet
from nuclex.training.finetune import FinetuneConfig, finetune

FASTA = "".join(f">s{number} {'xyz'[number % 3]}\n{'GATTACAC' * 3}{'ACGU'[number % 4] * 8}\n" for number in range(12))
SETTINGS = b"""seed = 7
alphabet = "rna"

[filter]
min_length = 4

[cluster]
method = "none"

[split]
by = "random"
validation = 0.2
test = 0.2
"""
FINETUNE = """controls = []
model = {kind = "rinalmo", depth = 1, width = 8, heads = 2}
tokenizer = {kind = "nucleotide"}
training = {steps = 1, evaluate_every = 1}
"""
CLUSTERED = ["--cluster.method", "none", "--split.by", "random", "--filter.min-length", "4"]


@dataclass(frozen=True)
class Case:
    """A verb over one broken file of the workplace; ``resummed``: its artefact gets sums that fit."""

    name: str
    file: str
    arguments: tuple[str, ...]
    seeds: tuple[bytes, ...] = ()
    resummed: bool = False


WORD = "<the input itself>"
SETTING = (b"model.depth=2", b'corpus="a b"', b"training.schedule={kind='cosine', rate=1e-3}", b"seed=0")
VALUE = (b"2", b'"2"', b"[2, 3]", b"true")
CHANCE = np.random.default_rng(1)
MANY = "".join(f">s{n} {'xyz'[n % 3]}\n{''.join(CHANCE.choice(list('ACGU'), 20))}\n" for n in range(30)).encode()
READS = b"".join(b"@r%d\nGATTACAC%s\n+\nIIIIIIII%s\n" % (n, b"ACGT" * n, b"!~5I" * n) for n in range(12))
PAIRS = b"".join(
    b">m%d family=%c\nGGGAAACCC%s\n(((...)))%s\n" % (n, b"xyz"[n % 3], b"A" * n, b"." * n) for n in range(12)
)
NPZ, TABLE = ("--out", "out/new.npz"), ("--out", "out/new.tsv")
BUILD = ("corpus", "build", "--out", "out/new")
CASES = (
    Case("corpus build FASTA", "broken.fa", (*BUILD, "broken.fa", *CLUSTERED)),
    Case("corpus build --config", "broken.toml", (*BUILD, "good.fa", "--config", "broken.toml"), (SETTINGS,)),
    Case("plan TOML", "broken.toml", ("plan", "broken.toml"), (PRETRAIN,)),
    Case("plan YAML", "broken.yaml", ("plan", "broken.yaml"), (PRETRAIN_YAML,)),
    Case("corpus info", "corpus/corpus.json", ("corpus", "info", "corpus")),
    Case("corpus info, new sums", "corpus/corpus.json", ("corpus", "info", "corpus"), resummed=True),
    Case("embed FASTA", "broken.fa", ("embed", "bundle", "broken.fa", *NPZ)),
    Case("embed BUNDLE", "bundle/config.json", ("embed", "bundle", "good.fa", *NPZ)),
    Case("embed BUNDLE, new sums", "bundle/nuclex.json", ("embed", "bundle", "good.fa", *NPZ), resummed=True),
    Case("predict FASTA", "broken.fa", ("predict", "classes/bundle", "broken.fa", *TABLE)),
    Case(
        *("predict BUNDLE, new sums", "classes/bundle/nuclex.json", ("predict", "classes/bundle", "good.fa", *TABLE)),
        resummed=True,
    ),
    Case("predict CSV", "broken.csv", ("predict", "classes/bundle", "broken.csv", *TABLE), CSV),
    Case("embed GenBank", "broken.gb", ("embed", "bundle", "broken.gb", *NPZ), GENBANK),
    Case("corpus build FASTQ", "broken.fq", (*BUILD, "broken.fq", *CLUSTERED), (READS,)),
    Case("finetune classes", "broken.fa", ("finetune", "classes.toml", "--out", "out/new"), (MANY,)),
    Case("finetune structures", "broken.dbn", ("finetune", "pairs.toml", "--out", "out/new"), (PAIRS,)),
    Case(
        "pretrain --dry-run", "broken.toml", ("pretrain", "broken.toml", "--out", "out/new", "--dry-run"), (PRETRAIN,)
    ),
    Case("a setting", "", ("plan", "good.toml", "--set", WORD), SETTING),
    Case("a flag's value", "", ("plan", "good.toml", "--model.depth", WORD), VALUE),
    Case("a flag", "", ("plan", "good.toml", WORD, "3"), (b"--model.depth", b"--seed", b"--model.inner-norm")),
    Case("a path to read", "", ("embed", "bundle", WORD, *NPZ), (b"good.fa", b"./good.fa")),
    Case("a path of a recipe", "", ("plan", WORD), (b"good.toml", b"pretrain/quickstart")),
    Case("a path of a corpus", "", ("corpus", "info", WORD), (b"corpus", b"./corpus/")),
    Case("evaluate CORPUS, new sums", "corpus/sequences-00000.arrow", ("evaluate", "bundle", "corpus"), resummed=True),
    Case("evaluate BUNDLE", "bundle/model.safetensors", ("evaluate", "bundle", "corpus")),
)


def make_workplace(folder: Path) -> None:
    """A good FASTA, a corpus, a bundle, a fine-tuned bundle."""
    (folder / "good.fa").write_text(FASTA)
    (folder / "many.fa").write_bytes(MANY)
    (folder / "good.toml").write_bytes(PRETRAIN)
    (folder / "classes.toml").write_text(f'{FINETUNE}[task]\nkind = "fasta-class"\ntrain = "broken.fa"\n')
    (folder / "pairs.toml").write_text(f'{FINETUNE}[task]\nkind = "dot-bracket"\ntrain = "broken.dbn"\n')
    keys = tomllib.loads(FINETUNE) | {"task": {"kind": "fasta-class", "train": str(folder / "many.fa")}}
    with quiet():
        make_corpus(folder / "corpus")
        make_bundle(folder / "bundle")
        finetune(load_config(FinetuneConfig, None, keys), folder / "classes")


def fuzz_commands(count: int, stream: str = "0") -> Totals:
    """Run every case over its share of ``count`` broken files."""
    totals = Totals("command line")
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=scratch()) as home:
        whole = Path(home) / "whole"
        whole.mkdir()
        make_workplace(whole)
        for case in CASES:
            seeds = case.seeds or (
                (FASTA.encode(),) if case.file.endswith(".fa") else ((whole / case.file).read_bytes(),)
            )
            share = -(-count // len(CASES))
            place = Path(home) / "place"
            shutil.copytree(whole, place)
            with contextlib.chdir(place):
                for number, data in enumerate(mutants(seeds, share, f"{case.name}/{stream}")):
                    _judge_into(totals, case, data, quiet=number % 2 == 0)
            shutil.rmtree(place)
    return totals


def _judge_into(totals: Totals, case: Case, data: bytes, quiet: bool) -> None:
    word = data.decode("utf-8", "surrogateescape").replace("\0", "")  # the system passes on no NUL
    arguments = tuple(word if argument == WORD else argument for argument in case.arguments)
    if case.file:
        Path(case.file).write_bytes(data)
    if case.resummed:
        resum(Path(case.file))
    Path("out").mkdir()
    began = time.process_time()
    try:
        with guarded():
            accepted = run_one(arguments, quiet)
        totals.accepted, totals.refused = totals.accepted + accepted, totals.refused + (not accepted)
    except Exception as error:
        what = f"{case.name}: {type(error).__name__}: {error}"
        totals.findings.append(Finding("command line", data, what[:900]))
    except Stuck as error:
        totals.findings.append(Finding("command line", data, f"{case.name}: hang: {error}"))
    totals.slowest_s = max(totals.slowest_s, time.process_time() - began)
    shutil.rmtree("out")


def run_one(arguments: tuple[str, ...], quiet: bool) -> bool:
    """Whether one command line did its work; AssertionError where it did neither that nor refuse properly."""
    before = set(Path.cwd().iterdir())
    code, out, err = called([*arguments, *(["--quiet"] if quiet else [])])
    lines = err.splitlines()
    if code == 0:
        assert out.strip(), "said nothing, though it was done"
        assert not quiet or not lines, f"was to be quiet, and said {lines[:3]}"
        return True
    assert code in (2, 3, 4), f"left with {code}: {err[:600]}"
    assert out == "", f"stdout holds {out[:200]!r}"
    assert lines, "left without a word"
    assert [line.startswith("nuclex: ") for line in lines].count(True) == 1, f"said {lines[:4]}"
    assert lines[-1].startswith("nuclex: "), f"said {lines[-3:]}"
    assert not quiet or len(lines) == 1, f"said {len(lines)} lines: {lines[:4]}"
    assert "Traceback" not in err
    left = [*Path("out").iterdir(), *(set(Path.cwd().iterdir()) - before)]
    assert not left, f"left behind {[path.name for path in left]}"
    return False


def called(arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``nuclex`` with these arguments, in this process."""
    out, err = io.StringIO(), io.StringIO()
    handler = signal.getsignal(signal.SIGTERM)
    code: object = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(arguments)
    except SystemExit as stop:
        code = stop.code
    finally:
        signal.signal(signal.SIGTERM, handler)
    return int(code) if isinstance(code, int) else 1, out.getvalue(), err.getvalue()
