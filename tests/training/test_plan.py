from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from nuclex.core.errors import InputError
from nuclex.data.sample import SamplingConfig
from nuclex.data.store import Corpus
from nuclex.models import RinalmoConfig, rinalmo
from nuclex.models.published import RINALMO_SIZES
from nuclex.training.duration import TrainingConfig
from nuclex.training.plan import GPUS, Asked, Terms, make_plan
from nuclex.training.pretrain import PretrainConfig, build_work, plan


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("nano", 7_508_824), ("micro", 33_491_074), ("mega", 148_056_972), ("giga", 650_901_793)],
)
def test_the_published_sizes_of_rinalmo(size: str, parameters: int) -> None:
    plan = make_plan(rinalmo(size), 22)  # type: ignore[arg-type]
    assert plan.parameters == parameters
    assert plan.tokens_compute_optimal == 20 * parameters
    assert plan.memory_bytes > 16 * parameters
    assert size in RINALMO_SIZES


def test_hours_are_operations_over_speed() -> None:
    sampling = SamplingConfig(max_tokens=500, batch_tokens=2000, micro_tokens=1000)
    model = RinalmoConfig(depth=2, width=64, heads=4)
    plan = make_plan(model, 22, Asked(sampling, TrainingConfig(steps=1000, precision="bf16"), 120.0, 0.2))
    assert plan.tokens == 2_000_000
    assert plan.length == 120
    peak = GPUS["h100"].bf16
    assert plan.hours["h100"] == pytest.approx(plan.flops_per_token * 2e6 / (0.4 * peak) / 3600)
    assert plan.hours["a100"] / plan.hours["h100"] == pytest.approx(989 / 312)
    single = make_plan(model, 22, Asked(sampling, TrainingConfig(steps=1000), 120.0, 0.2))
    assert single.hours["h100"] / plan.hours["h100"] == pytest.approx(989 / 67), "no tensor cores in float32"
    assert single.memory_bytes > plan.memory_bytes
    without = make_plan(model, 22, Asked(sampling, length=9999.0))
    assert (without.steps, without.tokens, without.precision) == (None, None, "fp32")
    assert without.length == 500, "no piece is longer than the recipe allows"
    operations = without.flops_per_token * without.tokens_compute_optimal
    assert without.hours["h100"] == pytest.approx(operations / (0.4 * GPUS["h100"].fp32) / 3600)


def test_money_is_hours_times_the_price_that_was_said() -> None:
    model = RinalmoConfig(depth=2, width=64, heads=4)
    usual, halved = (make_plan(model, 22, terms=Terms(share, {"a100": 1.5})) for share in (0.4, 0.2))
    assert usual.cost == {"a100": 1.5 * usual.hours["a100"]}, "no price is known that was not said"
    assert halved.hours["h200"] == pytest.approx(2 * usual.hours["h200"])
    for prices, said in (({"a1000": 1.0}, "no GPU is called 'a1000'; known: h200, "), ({"a100": -1.0}, "costs -1.0")):
        with pytest.raises(InputError, match=said):
            make_plan(model, 22, terms=Terms(0.4, prices))


def test_a_plan_is_plain_data() -> None:
    plan = make_plan(RinalmoConfig(depth=1, width=16, heads=2), 22)
    assert type(plan).from_data(plan.to_data()) == plan
    wanted = {"parameters", "flops_per_token", "memory_bytes", "tokens_compute_optimal"}
    assert wanted <= plan.to_data().keys(), "names that the design promises"


def corpus_recipe(corpus: Path, **keys: Any) -> PretrainConfig:
    recipe = {"tokenizer": {"kind": "nucleotide"}, "model": {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2}}
    sampling = {"max_tokens": 40, "batch_tokens": 200, "micro_tokens": 200}
    return PretrainConfig.from_data({**recipe, "sampling": sampling, "corpus": str(corpus), **keys})


@pytest.mark.parametrize("tokenizer", [{"kind": "nucleotide"}, {"kind": "kmer", "k": 3, "stride": 3}], ids=str)
def test_an_epoch_of_a_corpus_is_what_a_run_reads(tiny_corpus: Path, tokenizer: dict[str, Any]) -> None:
    config = corpus_recipe(tiny_corpus, tokenizer=tokenizer, training={"epochs": 2.5})
    work = build_work(config, Corpus.open(tiny_corpus), config.tokenizer.build())
    passes = [work.micro_batches(0, batch, 0, 1) for batch in range(work.batches(0))]
    read = sum(len(micro.batch.tokens_T) for micros in passes for micro in micros)
    planned = plan(config)
    assert planned["epoch_tokens"] == read, "of a corpus this small every sequence is read"
    assert planned["tokens"] == round(2.5 * read)
    assert planned["length"] == pytest.approx(read / sum(len(m.batch.lengths_N) for micros in passes for m in micros))
    assert planned["epochs_compute_optimal"] == planned["tokens_compute_optimal"] / read
    assert plan(corpus_recipe(tiny_corpus, train_sequences=5))["epoch_tokens"] < read
    with pytest.raises(InputError, match="is not a corpus"):
        plan(corpus_recipe(tiny_corpus / "none"))


def test_an_epoch_is_not_known_before_its_tokenizer_or_corpus(tiny_corpus: Path) -> None:
    learnt = corpus_recipe(tiny_corpus, tokenizer={"kind": "bpe", "vocab_size": 30}, training={"epochs": 1.0})
    for config in (learnt, learnt.model_copy(update={"corpus": None})):
        planned = plan(config)
        assert (planned["epoch_tokens"], planned["epochs_compute_optimal"], planned["tokens"]) == (None, None, None)


def test_what_fits_is_less_than_the_memory_there_is() -> None:
    small, large = make_plan(rinalmo("nano"), 22), make_plan(rinalmo("giga"), 22)
    assert all(small.fits.values())
    assert large.fits == {name: large.memory_bytes < gpu.memory for name, gpu in GPUS.items()}
    assert not large.fits["rtx4090"]


@pytest.mark.parametrize("share", [0.0, 1.5, math.nan])
def test_a_utilisation_is_a_share(share: float) -> None:
    config = PretrainConfig.from_data({"tokenizer": {"kind": "nucleotide"}, "model": {"kind": "rinalmo"}})
    with pytest.raises(InputError, match=r"utilisation: found .*; a share above 0 and at most 1 is needed"):
        plan(config, utilisation=share)
