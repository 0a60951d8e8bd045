from __future__ import annotations

import inspect
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from cyclopts import App

import nuclex
from nuclex.bundle import load
from nuclex.cli.main import app, run
from nuclex.core.config import Config
from nuclex.core.recipe import shipped_recipes
from nuclex.data.corpus import CorpusConfig
from nuclex.evaluation.judge import JudgeConfig
from nuclex.evaluation.suite import SuiteConfig
from nuclex.inference.changes import ChangeColumns
from nuclex.inference.design import DesignConfig
from nuclex.inference.generate import GenerateConfig
from nuclex.inference.partners import PartnerColumns
from nuclex.training.finetune import FinetuneConfig
from nuclex.training.pretrain import PretrainConfig
from nuclex.tuning.question import SearchConfig


def commands(parent: App, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every verb of the command line, its words joined by ``_``, and the function behind it."""
    for name in parent:
        if name.startswith("-"):
            continue
        child, joined = parent[name], f"{before}{name}"
        if child.default_command is not None:
            yield joined, child.default_command
        yield from commands(child, f"{joined}_")


COMMANDS = dict(commands(app))


# ---- the command line and Python say the same ----


def test_every_verb_is_a_command_and_every_command_a_verb() -> None:
    assert COMMANDS.keys() == nuclex.VERBS.keys()
    for name, function in COMMANDS.items():
        assert function.__name__ == name
        assert callable(getattr(nuclex, name))
        assert name in dir(nuclex)


# what a recipe or --set gives is one value in Python; --dry-run is `plan`
ONLY_THERE = {"set", "recipe", "dry_run", "kind"}
# runs with other bundles, from which a benchmark takes equal controls
IN_PYTHON_ALONE = {"kin"}


@pytest.mark.parametrize("verb", nuclex.VERBS)
def test_parameters_have_the_same_names_and_defaults(verb: str) -> None:
    here = inspect.signature(COMMANDS[verb]).parameters
    there = inspect.signature(getattr(nuclex, verb)).parameters
    configured = {"set", "recipe"} & here.keys()
    as_settings = {"config", "settings"} - here.keys() if configured else set()  # one value, or its keys as keywords
    assert here.keys() - ONLY_THERE == there.keys() - as_settings - IN_PYTHON_ALONE
    for name in here.keys() & there.keys() - {"device"}:
        first, second = here[name].default, there[name].default
        assert first == second or str(first) == str(second), name
    if "device" in here:
        assert (here["device"].default, there["device"].default) == ("auto", "cpu"), "Python is told where to compute"


@pytest.mark.parametrize(
    ("verb", "config"),
    [
        ("pretrain", PretrainConfig),
        ("plan", PretrainConfig),
        ("finetune", FinetuneConfig),
        ("predict", ChangeColumns),
        ("predict", PartnerColumns),
        ("benchmark", SuiteConfig),
        ("corpus_build", CorpusConfig),
        ("generate", GenerateConfig),
        ("generate", DesignConfig),
        ("judge", JudgeConfig),
        ("search", SearchConfig),
    ],
)
def test_no_flag_hides_a_key_of_the_config(verb: str, config: type[Config]) -> None:
    flags = inspect.signature(COMMANDS[verb]).parameters.keys() | {"json", "quiet", "debug", "help", "version"}
    assert not flags & config.model_fields.keys()


def test_an_unknown_name_is_no_verb() -> None:
    with pytest.raises(AttributeError, match="module 'nuclex' has no attribute 'pretrane'"):
        nuclex.pretrane  # noqa: B018


# ---- whole verbs, as they are typed ----


def answer(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    """What a verb prints with --json, which must be one JSON object and nothing else."""
    code = run([*map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert out.count("\n") == 1

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    found = json.loads(out, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


def test_plan(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "plan", "pretrain/rinalmo-nano")
    assert found["parameters"] == 7_508_824
    assert found.keys() >= {"parameters", "flops_per_token", "memory_bytes", "tokens_compute_optimal"}
    deeper = answer(capsys, "plan", "pretrain/rinalmo-nano", "--model.depth", "7")
    assert deeper["parameters"] > found["parameters"]
    priced = answer(capsys, "plan", "pretrain/rinalmo-nano", "--price", "h100=2.5", "a100=1", "--utilisation", "0.2")
    assert priced["hours"]["h100"] == pytest.approx(2 * found["hours"]["h100"])
    assert priced["cost"] == {"h100": 2.5 * priced["hours"]["h100"], "a100": priced["hours"]["a100"]}


def test_from_fasta_to_vectors(capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_corpus: Path) -> None:
    fasta, corpus = tiny_corpus.parent / "families.fa", tmp_path / "corpus"
    made = answer(
        capsys, "corpus", "build", fasta, "--out", corpus, "--cluster.method", "none", "--split.validation=0.2"
    )
    assert made.keys() >= {"sequences_in", "sequences_out", "nucleotides_out", "filters"}
    told = answer(capsys, "corpus", "info", corpus)
    assert told["fingerprint"] == made["fingerprint"]
    trained = answer(capsys, "tokenizer", "train", corpus, "--out", tmp_path / "bpe", "--vocab-size", "40")
    assert (trained["kind"], trained["vocabulary"]) == ("bpe", 40)
    flags = ["--recipe", "tokenizer/tinydnabert", "--kind", "wordpiece", "--sample", "1", "--vocab-size=30"]
    trained = answer(capsys, "tokenizer", "train", corpus, "--out", tmp_path / "wordpiece", *flags)
    assert (trained["kind"], trained["vocabulary"]) == ("wordpiece", 30)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[tokenizer]\nkind = "nucleotide"\n[model]\nkind = "rinalmo"\ndepth = 1\nwidth = 16\nheads = 2\n'
        "[sampling]\nmax_tokens = 60\nbatch_tokens = 300\nmicro_tokens = 300\n[training]\nsteps = 3\n"
    )
    flags = ["--corpus", corpus, "--out", tmp_path / "run", "--device", "cpu"]
    planned = answer(capsys, "pretrain", recipe, *flags, "--dry-run")
    assert planned["steps"] == 3
    assert not (tmp_path / "run").exists(), "a dry run leaves nothing"
    done = answer(capsys, "pretrain", recipe, *flags, "--training.steps", "4")
    assert done.keys() == {"run", "bundle", "steps", "metrics"}
    assert done["steps"] == 4
    scored = answer(capsys, "evaluate", done["bundle"], corpus, "--limit", "5", "--device", "cpu", "--max-tokens", "30")
    assert scored.keys() >= {"loss", "perplexity", "accuracy", "tokens"}
    assert scored["sequences"] == 5
    vectors = answer(
        capsys, "embed", done["bundle"], fasta, "--out", tmp_path / "v.npz", "--pool", "max", "--layer", "1"
    )
    assert (vectors["sequences"], vectors["width"]) == (60, 16)
    assert (tmp_path / "v.npz").is_file()
    scores = answer(capsys, "score", done["bundle"], fasta, "--out", tmp_path / "s.tsv", "--method", "one-pass")
    assert (scores["sequences"], scores["method"]) == (60, "one-pass")
    first = fasta.read_text().split("\n")[:2]
    row = f"{first[0][1:].split()[0]},0,{first[1][0]},{'A' if first[1][0] != 'A' else 'C'}"
    (tmp_path / "variants.csv").write_text(f"id,start,ref,alt\n{row}\n")
    flags = ["--variants", tmp_path / "variants.csv", "--around", "30", "--strands", "both", "--device", "cpu"]
    told = answer(capsys, "score", done["bundle"], fasta, "--out", tmp_path / "e.tsv", *flags)
    assert (told["variants"], told["skipped"], told["around"]) == (1, {}, 30)


def test_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "data", "list")["datasets"]
    assert found
    assert all(row["name"] for row in found)


def test_the_files_of_a_data_set(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(nuclex), "data_fetch", lambda name, out, unpack, trust_first: [Path("a"), Path("b/c")])
    assert answer(capsys, "data", "fetch", "x") == {"files": ["a", "b/c"]}


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "doctor")["disk_free_bytes"] > 0


def test_export(capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_bundle: Path) -> None:
    found = answer(capsys, "export", tiny_bundle, "--format", "rinalmo", "--out", tmp_path / "out")
    assert (found["format"], found["files"], found["class"]) == ("rinalmo", ["rinalmo.pt"], "RiNALMo")


def test_convert(capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_bundle: Path) -> None:
    pytest.importorskip("transformers")
    answer(capsys, "export", tiny_bundle, "--format", "rinalmo", "--out", tmp_path / "theirs")
    flags = ["--heads", "2", "--licence", "mit", "--out", tmp_path / "ours"]
    found = answer(capsys, "convert", tmp_path / "theirs" / "rinalmo.pt", *flags)
    ours, first = load(tmp_path / "ours"), load(tiny_bundle)
    assert found["parameters"] == sum(weight.numel() for weight in first.model.parameters())
    assert found["notes"] == ["Imported from RiNALMo's file rinalmo.pt."]
    assert ours.record.licence == "mit"
    written = first.model.state_dict()
    assert all(torch.equal(value, written[name]) for name, value in ours.model.state_dict().items())


# ---- what goes wrong gets a sentence, a code, and leaves nothing ----

WRONG = [
    ("frobnicate", 2, 'command line: Unknown command "frobnicate".'),
    ("corpus frobnicate", 2, "command line: "),
    ("plan", 2, "command line: Command \"plan\" parameter"),
    ("plan none.toml", 2, "none.toml: no such recipe file; give a .toml or .yaml file or one of: "),
    ("plan pretrain/quickstart --price h100", 2, "--price: found 'h100'; it is written NAME=NUMBER, as in h100=2.5"),
    ("plan pretrain/quickstart --price h10=1", 2, "price: no GPU is called 'h10'; known: h200, h100, "),
    ("plan pretrain/quickstart --utilisation 2", 2, "utilisation: found 2.0; a share above 0 and at most 1 is needed"),
    ("plan bad.toml", 2, "bad.toml:3: model.depht: unknown key (did you mean 'depth'?); allowed: "),
    ("plan text.toml", 2, "text.toml:3: model.depth: Input should be a valid integer, found '6'"),
    ("plan broken.toml", 2, "broken.toml:1: not valid TOML: "),
    ("plan pretrain/quickstart --model.depht 3", 2, "model.depht: unknown key (did you mean 'depth'?) (set over "),
    ("plan pretrain/quickstart --modle.depth 3", 2, "modle: unknown key (did you mean 'model'?) (set over "),
    ("plan pretrain/quickstart --set depth", 2, "command line: found --set 'depth'; settings are written KEY=VALUE"),
    ("plan pretrain/quickstart --model.max_positions 9", 2, "sampling.max_tokens: 512 is more than the 9 positions"),
    ("plan pretrain/quickstart --seed 1 --seed 2", 2, "command line: seed is set twice, to 1 and to '2'"),
    ("plan pretrain/quickstart --sampling.max_tokens 9999", 2, "sampling: max_tokens 9999 is more than micro_tokens"),
    ("plan pretrain/quickstart --model.kind rinalmi", 2, "model: models: unknown kind 'rinalmi' (did you mean"),
    ("pretrain pretrain/quickstart", 2, 'command line: Command "pretrain" parameter --out requires an argument.'),
    ("pretrain pretrain/quickstart --out run", 2, "corpus: missing; give the folder of a corpus with --corpus DIR"),
    ("pretrain pretrain/quickstart --corpus nowhere --out run", 2, "nowhere: is not a corpus"),
    ("pretrain pretrain/quickstart --corpus corpus --out full", 2, "full: exists and is not a run of nuclex"),
    ("pretrain pretrain/quickstart --corpus corpus --out run --device tpu", 2, "command line: Invalid value"),
    ("pretrain pretrain/quickstart --corpus rotten --out run", 4, "rotten/"),
    ("corpus build --out new", 2, "command line: corpus build needs at least one input file; - is standard input"),
    ("corpus build none.fa --out new --cluster.method none", 2, "none.fa: no such file"),
    ("corpus build protein.fa --out new --cluster.method none", 2, "protein.fa"),
    ("corpus build a.fa --out full --cluster.method none", 2, "full: exists already; give another --out or remove it"),
    ("corpus build a.fa --out a.fa/new --cluster.method none", 5, "a.fa/new: cannot be written: Not a directory"),
    ("corpus build a.fa --out new --cluster.methd none", 2, "cluster.methd: unknown key (did you mean 'method'?); "),
    ("corpus info full", 2, "full: is not a corpus"),
    ("corpus info rotten", 4, "rotten/"),
    ("tokenizer train corpus --out new --vocab-sise 9", 2, "vocab_sise: unknown key (did you mean 'vocab_size'?)"),
    ("tokenizer train corpus --out corpus/tokens", 2, "corpus/tokens: lies inside "),
    ("pretrain pretrain/quickstart --corpus corpus --out corpus/run", 2, "corpus/run: lies inside "),
    ("tokenizer train corpus --out full", 2, "full: exists already"),
    ("evaluate corpus corpus", 2, "corpus: is not a bundle"),
    ("evaluate nowhere corpus", 2, "nowhere: no such folder; a bundle is a folder"),
    ("evaluate bundle corpus --split all", 2, 'command line: Invalid value "all" for --split.'),
    ("evaluate bundle corpus --limit 0", 2, "limit: found 0; 1 or more sequences are needed"),
    ("evaluate bundle corpus --limit many", 2, "command line: Invalid value for --limit"),
    ("evaluate bundle corpus --limit 1.5", 2, "command line: Invalid value for --limit: a whole number is needed"),
    ("evaluate bundle corpus --max-tokens 1e2", 2, "command line: Invalid value for --max-tokens: a whole number"),
    ("embed bundle a.fa --out v.npz --layer 0.5", 2, "layer: Input should be a valid integer, found 0.5"),
    ("embed bundle a.fa --out v.npz --layer 3", 2, "layer: found 3; this model has layers 0 to 2"),
    ("embed bundle a.fa --out v.npz --window 3", 2, "window: found 3 tokens; this model takes 4 or more"),
    ("embed bundle a.fa --out v.npz --pool median", 2, "pool: Input should be 'mean', 'cls', 'max' or 'none', found "),
    ("evaluate spoilt corpus", 4, "spoilt/model.safetensors: its sha256 differs from the manifest"),
    ("embed spoilt a.fa --out v.npz", 4, "spoilt/model.safetensors"),
    ("embed bundle a.fa --out v.csv", 2, "v.csv: the ending says how to write; allowed: .parquet, .npz, .safete"),
    ("embed bundle a.fa --out v.npz --nonsense 3", 2, "nonsense: unknown key; allowed: layer, pool, precision, window"),
    ("embed bundle a.fa --out full", 2, "full: the ending says how to write"),
    ("predict bundle a.fa --out p.csv --nonsense 3", 2, "nonsense: unknown key; allowed: alt_column, alternative_c"),
    ("embed bundle a.fa --out a.fa/v.npz", 5, "a.fa/v.npz: cannot be written: Not a directory"),
    ("embed bundle odd.fa --out v.npz", 2, "odd.fa:3: b: 'X' at position 4"),
    ("predict bundle a.fa --out p.csv", 2, "bundle: was not fine-tuned"),
    ("fold bundle a.fa --out s.dbn", 2, "bundle: was not fine-tuned; give a bundle made by `nuclex finetune`"),
    ("fold bundle a.fa --out s.png", 2, "s.png: structures are written to .dbn, .ct, .bpseq, .json, or to a folder"),
    ("fold bundle a.fa --out s.dbn --treshold 0.1", 2, "treshold: unknown key (did you mean 'threshold'?); allowed: "),
    ("fold bundle a.fa --out s.dbn --threshold 7", 2, "threshold: Input should be less than or equal to 1"),
    ("export bundle --format mamba --out new", 2, "bundle: cannot be written as mamba: its layers are attention"),
    ("export bundle --format keras --out new", 2, 'command line: Invalid value "keras" for --format.'),
    ("export bundle --format rinalmo --out full", 2, "full: exists already"),
    ("convert none.pt --out new", 2, "none.pt: no such file"),
    ("convert ./none --out new", 2, "./none: no such file or folder"),
    ("convert a.fa --out new", 2, "a.fa: "),
    ("convert full --out new", 2, "full: "),
    ("convert a.fa --out new --tokenizer full", 2, "full/tokenizer_config.json: no such file"),
    ("export spoilt --format roberta --out new", 4, "spoilt/model.safetensors"),
    ("score bundle a.fa --out s.npz", 2, "s.npz: a table is written to .csv, .tsv, .parquet, found '.npz'"),
    ("score bundle a.fa --out s.csv --method causal", 2, "method: found 'causal'; this model sees both sides"),
    ("score bundle a.fa --out s.csv --methd exact", 2, "methd: unknown key (did you mean 'method'?); allowed: "),
    ("score bundle a.fa --out s.csv --strands both", 2, "around and strands are for variants; give --variants FILE"),
    ("score bundle a.fa --out s.csv --variants none.vcf", 2, "none.vcf: no such file"),
    ("score bundle a.fa --out s.csv --variants odd.fa", 2, "odd.fa:1: no column is called chrom or "),
    ("score bundle a.fa --out s.csv --variants wrong.csv", 2, "wrong.csv:2: REF is 'G', but a.fa has 'A' there, at "),
    ("score bundle odd.fa --out s.csv", 2, "odd.fa:3: b: 'X' at position 4"),
    ("score bundle a.fa --out a.fa/s.csv", 5, "a.fa/s.csv: cannot be written: Not a directory"),
    ("score spoilt a.fa --out s.csv", 4, "spoilt/model.safetensors"),
    ("quickstart --out full", 2, "full: "),
    ("quickstart --seed -1", 2, "seed: found -1; 0 or more is needed"),
    ("doctor now", 2, "command line: "),
    ("data list all", 2, "command line: "),
    ("data fetch nowhere", 2, "data: unknown name 'nowhere'"),
    ("finetune none.toml", 2, "none.toml: no such recipe file"),
    ("finetune finetune/regression --bundle bundle --data.path none.csv", 2, "none.csv: "),
    ("search none.toml --out new", 2, "none.toml: no such recipe file"),
    ("benchmark none.toml bundle --out new", 2, "none.toml: no such "),
    ("benchmark smoke nowhere --out new", 2, "nowhere: is not a bundle"),
    ("generate bundle --out new.fa", 2, "bundle: "),
    ("judge bundle a.fa a.fa --out full", 2, "full: exists already"),
    ("judge bundle a.fa a.fa --out new", 2, "a.fa: has 1 sequences; 4 or more are needed"),
    ("serve nowhere", 2, "nowhere: no such folder; a bundle is a folder"),
    ("serve bundle --port 70000", 2, "port: found 70000; 0 to 65535 is allowed"),
    ("serve bundle --leters 3", 2, "leters: unknown key (did you mean 'letters'?); allowed: "),
    ("serve bundle --reference none.fa", 2, "none.fa: no such file"),
    ("serve spoilt", 4, "spoilt/model.safetensors"),
    ("publish bundle name --dry-run", 2, "repository: found 'name'; a name on the hub is needed: ORG/NAME or USER/NA"),
    ("publish nowhere lab/name --dry-run", 2, "nowhere: no such folder; a bundle is a folder"),
    ("publish bundle lab/name --dry-run --out full", 2, "full: exists already"),
    ("publish bundle lab/name --dry-runn", 2, "dry_runn: unknown key (did you mean 'dry_run'?); allowed: "),
    ("publish spoilt lab/name --dry-run", 4, "spoilt/model.safetensors"),
]  # fmt: skip


@pytest.fixture
def workplace(tmp_path: Path, tiny_corpus: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a corpus and a bundle, both of them also damaged, good and bad files."""
    for name, origin in (
        ("corpus", tiny_corpus),
        ("rotten", tiny_corpus),
        ("bundle", tiny_bundle),
        ("spoilt", tiny_bundle),
    ):
        shutil.copytree(origin, tmp_path / name)
    damaged = [*(tmp_path / "rotten").glob("*.arrow"), tmp_path / "spoilt" / "model.safetensors"]
    for path in damaged:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    (tmp_path / "bad.toml").write_text('[model]\nkind = "rinalmo"\ndepht = 3\n[tokenizer]\nkind = "nucleotide"\n')
    (tmp_path / "text.toml").write_text('[model]\nkind = "rinalmo"\ndepth = "6"\n[tokenizer]\nkind = "nucleotide"\n')
    (tmp_path / "broken.toml").write_text("[model\n")
    (tmp_path / "a.fa").write_text(">a\nACGTACGTACGTACGTACGT\n")
    (tmp_path / "odd.fa").write_text(">a\nACGT\n>b\nACGTXXXX\n")
    (tmp_path / "wrong.csv").write_text("id,pos,ref,alt\na,1,G,C\n")
    (tmp_path / "protein.fa").write_text(">a\nMEEPQSDPSVEPPLSQETFSDLWKLLPENNVLSPLPSQ\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_mistake_gets_one_sentence_and_its_code(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.as_posix() for path in workplace.rglob("*"))
    wrong = []
    for arguments, code, beginning in WRONG:
        found = run([*arguments.split(), "--json"])
        out, err = capsys.readouterr()
        last = err.splitlines()[-1]
        after = sorted(path.as_posix() for path in workplace.rglob("*"))
        if (found, out) != (code, "") or not last.startswith(f"nuclex: {beginning}") or "Traceback" in err:
            wrong.append(f"{arguments}: {found} {last}")
        if after != before:
            wrong.append(f"{arguments}: left {set(after) ^ set(before)}")
            before = after
    assert not wrong, "\n".join(wrong)


def test_a_mistake_of_every_verb_is_tried() -> None:
    tried = {"_".join(app.parse_commands(arguments.split())[0]) for arguments, *_ in WRONG}
    assert tried >= nuclex.VERBS.keys()


def test_help_names_every_suite_that_comes_with_nuclex(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    suites = [name.removeprefix("benchmark/") for name in shipped_recipes() if name.startswith("benchmark/")]
    listed = re.search(r"A suite: ([a-z, -]+), or a TOML file", said)
    assert listed is not None
    assert sorted(listed[1].split(", ")) == sorted(suites)
