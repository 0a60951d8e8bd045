"""Every recipe that is shipped loads, fits together, and can be planned."""

from __future__ import annotations

import math
import re
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest

from nuclex.core.config import Config, load_config, parse_settings
from nuclex.core.recipe import shipped_recipes
from nuclex.data.corpus import CorpusConfig
from nuclex.data.tokens import tokenize
from nuclex.evaluation.suite import SuiteConfig
from nuclex.models import LanguageModel
from nuclex.models.base import MODELS
from nuclex.models.published import HelmFamily, helm
from nuclex.objectives import OBJECTIVES, CausalConfig, MaskedConfig
from nuclex.tokenizers import TOKENIZERS
from nuclex.training.controls import controls_of
from nuclex.training.finetune import FinetuneConfig
from nuclex.training.pretrain import LanguageWork, PretrainConfig, check_lengths, plan, vocabulary_size
from nuclex.training.schedule import learning_rate
from nuclex.training.tokenize import read_tokenizer
from nuclex.tuning.asked import Asked
from nuclex.tuning.question import PROXY, RATE, SPACE, WARMUP, SearchConfig, read_search

ROOT = Path(__file__).resolve().parents[1] / "recipes"
CLASSES: dict[str, type[Config]] = {
    "pretrain": PretrainConfig,
    "finetune": FinetuneConfig,
    "corpus": CorpusConfig,
    "benchmark": SuiteConfig,
    "search": SearchConfig,
}
PRETRAIN, FINETUNE, CORPUS, BENCHMARK, SEARCH = (sorted((ROOT / kind).glob("*.toml")) for kind in CLASSES)
TOKENIZER = sorted((ROOT / "tokenizer").glob("*.toml"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


def loaded(path: Path) -> Any:
    if path.parent.name == "tokenizer":
        return read_tokenizer(path, {})
    return load_config(CLASSES[path.parent.name], path)


def test_recipes_are_where_they_belong() -> None:
    found = sorted(path for path in ROOT.rglob("*") if path.is_file())
    assert found == sorted([*PRETRAIN, *FINETUNE, *CORPUS, *BENCHMARK, *SEARCH, *TOKENIZER]), (
        "a recipe that no test loads"
    )
    assert shipped_recipes() == {
        name(path): path for path in sorted([*PRETRAIN, *FINETUNE, *CORPUS, *BENCHMARK, *SEARCH, *TOKENIZER])
    }
    assert {
        "quickstart",
        "rinalmo-nano",
        "rinalmo-micro",
        "rinalmo-mega",
        "rinalmo-giga",
        "tinydnabert",
        "rnaberta",
        "rnaberta-proxy",
        *(f"helm-{family}" for family in get_args(HelmFamily)),
    } <= {path.stem for path in PRETRAIN}
    assert {"tinydnabert", "rnaberta"} <= {path.stem for path in TOKENIZER}


@pytest.mark.parametrize("path", [*PRETRAIN, *FINETUNE, *CORPUS, *BENCHMARK, *SEARCH, *TOKENIZER], ids=name)
def test_every_recipe_loads_and_says_what_it_is_for(path: Path) -> None:
    config = loaded(path)
    assert type(config).from_data(config.to_data()) == config
    assert path.read_text(encoding="utf-8").startswith("# "), "the first line says what the recipe is for"


@pytest.mark.parametrize("path", BENCHMARK, ids=name)
def test_every_entry_of_a_suite_is_a_run_of_finetuning(path: Path) -> None:
    suite: SuiteConfig = loaded(path)
    for entry in suite.entries:
        if entry.recipe is None:
            continue
        config = entry.finetuning(Path("bundle"), 2)
        assert config.controls == controls_of(config.task.shape)
        assert config.seed == 2
        for key, value in entry.set.items():
            found: Any = config.to_data()
            for part in key.split("."):
                found = found[part]
            assert found == ({**found, **value} if isinstance(value, dict) else value), key


PARAMETERS = {  # docs: the papers' numbers
    "rinalmo-nano": 7_508_824,
    "rinalmo-micro": 33_491_074,
    "rinalmo-mega": 148_056_972,
    "rinalmo-giga": 650_901_793,
    "tinydnabert": 19_968_512,
    "rnaberta": 55_928_804,
    "rnaberta-proxy": 5_292_644,
    "helm-gpt2": 50_636_800,
}


@pytest.mark.parametrize("path", PRETRAIN, ids=name)
def test_every_pretraining_recipe_can_be_planned(path: Path) -> None:
    config: PretrainConfig = loaded(path)
    planned = plan(config)
    assert planned["parameters"] == PARAMETERS.get(path.stem, planned["parameters"])
    assert planned["steps"] == (config.training.steps or None), "epochs are counted on a corpus"
    assert config.corpus is None, "a recipe names no folder of one machine"
    check_lengths(config)


@pytest.mark.parametrize("path", [*PRETRAIN, *FINETUNE], ids=name)
def test_every_schedule_reaches_its_rate_and_falls_from_there(path: Path) -> None:
    training = loaded(path).training.counted(lambda epoch: 100)
    rates = [
        learning_rate(training.schedule, step, training.steps)
        for step in range(0, training.steps, 1 + training.steps // 500)
    ]
    top = training.schedule.warmup
    assert top < training.steps, "the warm-up ends within the run"
    assert learning_rate(training.schedule, top, training.steps) == training.schedule.rate >= max(rates)
    assert rates[-1] <= training.schedule.rate


def test_papers_schedules() -> None:
    giga, micro = (loaded(ROOT / "pretrain" / f"rinalmo-{size}.toml") for size in ("giga", "micro"))
    for config, rate in ((giga, 5e-5), (micro, 1e-4)):  # arXiv:2403.00043
        schedule = config.training.schedule
        assert (schedule.rate, schedule.initial_rate, schedule.final_rate) == (rate, 1e-7, 1e-5)
        assert (schedule.warmup, schedule.decay, schedule.kind) == (2000, 200_000, "cosine")
        assert (config.training.optimizer.weight_decay, config.training.optimizer.clip) == (0.01, 1.0)
        assert (config.sampling.members, config.sampling.max_tokens) == ("one-per-cluster", 1024)
    berta = loaded(ROOT / "pretrain" / "rnaberta.toml").training
    assert learning_rate(berta.schedule, berta.steps, berta.steps) / berta.schedule.rate == pytest.approx(
        0.0778, abs=1e-4
    )


@pytest.mark.parametrize("path", SEARCH, ids=name)
def test_every_search_fits_its_recipe(path: Path) -> None:
    asked = Asked.of(read_search(path))
    assert asked.config.corpus is None, "a recipe names no folder of one machine"
    assert asked.trial({}).model.base_width == asked.full.model.width, "the full network is the standard one"


def test_rnabertas_search_is_rnabertas() -> None:
    """Its authors' values, and by hand what they give: facts, 32 trials, best 6.3e-4 and a share of 0.153."""
    asked = Asked.of(read_search("search/rnaberta"))
    assert {key: dimension.model_dump(exclude_defaults=True) for key, dimension in asked.space.items()} == SPACE
    assert (asked.config.trials, asked.config.sampler, asked.config.pruner) == (32, "tpe", "none")
    settings = asked.settings({RATE: 6.3e-4, WARMUP: 0.153})
    assert settings == {RATE: 6.3e-4, WARMUP: 765}
    trial, proxy = asked.trial(settings), loaded(ROOT / "pretrain" / "rnaberta-proxy.toml")
    assert trial == proxy, "the trial that was theirs is the shipped proxy"
    finals = list(asked.finals(settings))
    assert [one.training.schedule.rate for _, _, one in finals] == pytest.approx([6.3e-4, 5.5125e-4, 4.725e-4])
    assert {(one.training.schedule.warmup, one.training.steps, one.model.width) for _, _, one in finals} == {
        (765, 38114, 512)
    }
    plain = Asked.of(read_search("pretrain/rnaberta"))
    assert (plain.space, plain.proxy) == (asked.space, PROXY), "what a recipe of pre-training is searched by"


UPWARDS = [(0, 0, 1), (3, 3, 0.1), (6, 6, 0.1), (9, 9, 0.1), (12, 12, 0.1)]
STRUCTURES = {
    "epochs": 15,
    "thaw": UPWARDS,
    "examples": 1,
    "rate": 1e-4,
    "final": 1e-5,
    "kind": "linear",
    "decay": None,
}
LOADS = {**STRUCTURES, "epochs": 50, "thaw": [(0, 0, 1), (5, 27, 1)], "examples": 64, "decay": 5000}
CONSTANT = {"kind": "constant", "rate": 1e-5, "final": 0.0, "weight_decay": 1e-6}
SPLICING = {**STRUCTURES, **CONSTANT, "epochs": 2, "thaw": [(0, "every", 1)], "examples": 32}
FAMILIES = {**SPLICING, "examples": 64, "rate": 8e-6, "weight_decay": 0.01}
TRANSLATION = {**LOADS, "epochs": 25, "thaw": [(0, 0, 1), (5, "every", 1)], "decay": 600}
RINALMO: dict[str, dict[str, Any]] = {
    # the paper (doi:10.1038/s41467-025-60872-5), and the code of github.com/lbcb-sci/RiNALMo where it says nothing
    "archiveii-structure": STRUCTURES,
    "archiveii-structure-fold": STRUCTURES,
    "bprna-structure": STRUCTURES,
    "pdb-structure": STRUCTURES,
    "ribosome-load": {**LOADS, "loss": "mse", "standardise": True},
    "ribosome-load-7600": {**LOADS, "loss": "mse", "standardise": True},
    "translation-efficiency": {**TRANSLATION, "loss": "huber", "standardise": False},
    "splice-donor": SPLICING,
    "splice-gs1-donor": SPLICING,
    "ncrna-class-rinalmo": {**FAMILIES, "epochs": 20},  # of epochs its code says nothing
    "ncrna-rfam": {**FAMILIES, "epochs": 10},
}


@pytest.mark.parametrize("recipe", RINALMO)
def test_rinalmos_finetuning_is_the_papers(recipe: str) -> None:
    config: FinetuneConfig = loaded(ROOT / "finetune" / f"{recipe}.toml")
    wanted, schedule, optimizer = RINALMO[recipe], config.training.schedule, config.training.optimizer
    assert (config.batching.examples, config.batching.tokens) == (wanted["examples"], None)
    assert (config.training.epochs, config.training.steps) == (wanted["epochs"], 0)
    assert [(item.epoch, item.blocks, item.rate) for item in config.thaw] == wanted["thaw"]
    assert (schedule.kind, schedule.rate, schedule.warmup) == (wanted["kind"], wanted["rate"], 0)
    assert (schedule.final_rate, schedule.decay) == (wanted["final"], wanted["decay"])
    assert (optimizer.weight_decay, optimizer.clip) == (wanted.get("weight_decay", 0), 0)
    if wanted is STRUCTURES:
        assert config.decoding is not None
        found = (config.decoding.method, config.decoding.tune, config.decoding.thresholds)
        assert found == ("greedy", "relaxed", [round(place / 100, 2) for place in range(1, 30)])
    if "loss" in wanted:
        assert config.regression is not None
        found = (config.regression.loss, config.regression.delta, config.regression.standardise)
        assert found == (wanted["loss"], 1.0, wanted["standardise"])


def test_every_recipe_that_says_it_is_rinalmos_is_held_to_it() -> None:
    named = {path.stem for path in FINETUNE if "RiNALMo" in path.read_text(encoding="utf-8").partition("bundle =")[0]}
    assert named == RINALMO.keys()


@pytest.mark.parametrize("path", FINETUNE, ids=name)
def test_no_control_learns_from_random_weights_at_a_rate_for_finetuning(path: Path) -> None:
    config: FinetuneConfig = loaded(path)
    asked, rates = config.training.schedule.rate, config.control_rates
    assert (rates.head or asked) >= 3e-4
    assert (rates.network or asked) >= 1e-4


@pytest.mark.parametrize("family", get_args(HelmFamily))
def test_helms_recipes_are_its_models_and_settings(family: HelmFamily) -> None:
    config: PretrainConfig = loaded(ROOT / "pretrain" / f"helm-{family}.toml")
    assert config.model == helm(family)
    assert vocabulary_size(config) == 70
    asked = CausalConfig() if family in ("gpt2", "mamba", "hyena") else MaskedConfig(mask=1.0, random=0.0)
    assert config.objective == asked
    schedule, sampling = config.training.schedule, config.sampling
    rates = (1e-4, 1e-6) if family == "hyena" else (1e-3, 1e-5)
    assert (schedule.kind, schedule.warmup, schedule.rate, schedule.final_rate) == ("cosine", 0, *rates)
    assert (sampling.max_tokens, config.training.optimizer.weight_decay) == (444, 0.1)
    assert sampling.batch_tokens == 8 * sampling.micro_tokens == 1024 * 444
    assert config.training.steps == 15_300_000 * 40 // 1024


def test_helms_other_sizes_come_by_the_flags_that_the_recipes_name() -> None:
    for family in get_args(HelmFamily):
        path = ROOT / "pretrain" / f"helm-{family}.toml"
        text = " ".join(line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#"))
        named = re.findall(r"(\d+) M ((?:--model\.\w+ \d+ ?)+)", text)
        assert [size for size, _ in named] == ["20", "100", "150"]
        for size, flags in named:
            words = flags.split()
            settings = {flag[2:]: int(value) for flag, value in zip(words[::2], words[1::2], strict=True)}
            assert load_config(PretrainConfig, path, settings).model == helm(family, f"{size}M")


HELM_RUNS = [(family, mode, alpha) for family in ("gpt2", "bert", "mamba", "hyena") for mode in ("masked", "causal")
             for alpha in (None, 0.2, 0.4, 0.6)]  # fmt: skip


def flags_of(text: str) -> dict[str, Any]:
    words = shlex.split(text)
    return parse_settings(f"{key[2:]}={value}" for key, value in zip(words[::2], words[1::2], strict=True))


@pytest.mark.parametrize("laptop", ["", "-laptop"])
@pytest.mark.parametrize(("family", "mode", "alpha"), HELM_RUNS)
def test_helms_experiments_come_by_the_flags_that_the_recipes_name(
    family: HelmFamily, mode: str, alpha: float | None, laptop: str
) -> None:
    """Each of its models, masked and causal, with plain and with hierarchical cross entropy, learns something."""
    path = ROOT / "pretrain" / f"helm-{'bimamba' if (family, mode) == ('mamba', 'masked') else family}{laptop}.toml"
    text = "\n".join(line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#"))
    settings: dict[str, Any] = {}
    if loaded(path).objective.kind != mode:
        settings |= flags_of(re.search(rf"^As a {mode} model: (--.*)$", text, re.M)[1])  # type: ignore[index]
    if alpha is not None:
        named = re.search(r"HXE: (--[^,]*), or alpha 0.4 or\s0.6", text)
        settings |= flags_of(named[1]) | {"objective.criterion.alpha": alpha}  # type: ignore[index]
    config: PretrainConfig = load_config(PretrainConfig, path, settings)
    assert config.objective.kind == mode
    assert config.model.backbone().causal == (mode == "causal")
    assert getattr(config.objective, "mask", 1.0) == 1.0
    assert getattr(config.objective.criterion, "alpha", None) == alpha
    if not laptop:
        assert config.training.schedule.rate == (1e-3 if alpha is None and family != "hyena" else 1e-4)
        readme = re.search(r"30 epochs: (--\S+ \d+)", text)
        assert flags_of(readme[1]) == {"training.steps": 15_300_000 * 30 // 1024}  # type: ignore[index]

    small = {"model.depth": 1, "model.width": 16, "model.inner": 32}
    tiny: PretrainConfig = load_config(PretrainConfig, path, settings | small)
    tokenizer = tiny.tokenizer.train([])
    network = tiny.model.backbone()
    model = LanguageModel(
        network, vocabulary_size=network.rows(len(tokenizer)), pad_id=tokenizer.pad_id, mask_id=tokenizer.mask_id
    )
    table = tokenize(["AUG" + "GCUAAACUG" * 6 + "UAA"], tokenizer)
    work = LanguageWork(tiny, tokenizer, table, table)
    (micro,) = work.micro_batches(0, 0, 0, 1)
    loss = work.loss(model, micro)
    loss.backward()
    mean = loss.item() / work.targets(micro)
    if alpha is None:
        assert mean == pytest.approx(math.log(70), rel=0.1)
    else:
        assert 0 < mean < 0.95 * math.log(70), "of 70 alike some are near the truth"
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_rinalmos_ablations_differ_in_one_thing() -> None:
    plain = loaded(ROOT / "pretrain" / "rinalmo-micro.toml").to_data()
    for name, changes in (
        ("absolute", {"positions": "learned", "max_positions": 1024}),
        ("gelu", {"activation": "gelu"}),
    ):
        ablation = loaded(ROOT / "pretrain" / f"rinalmo-micro-{name}.toml").to_data()
        assert ablation == {**plain, "model": {**plain["model"], **changes}}
        assert ablation != plain


def test_the_hybrid_attends_in_every_fourth_layer() -> None:
    mixers = loaded(ROOT / "pretrain" / "mamba-hybrid.toml").model.backbone().mixers
    assert [number for number, name in enumerate(mixers, start=1) if name == "attention"] == [4, 8, 12, 16]
    assert set(mixers) == {"mamba", "attention"}


@pytest.mark.parametrize("registry", [MODELS, OBJECTIVES, TOKENIZERS], ids=lambda registry: registry.family)
def test_every_registered_config_survives_plain_data(registry: Any) -> None:
    required = {
        "backbone": {"depth": 2, "width": 16, "heads": 2, "inner": 24},
        "codon": {"frame": 1},
        "amino-acid": {"frame": 0},
        "kmer": {"k": 3, "stride": 1},
    }
    for kind in registry.names():
        config = registry.parse({"kind": kind, **required.get(kind, {})})
        again = registry.parse(config.to_data())
        assert type(again) is type(config)
        assert again == config
        assert again.digest() == config.digest()
