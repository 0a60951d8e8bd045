from __future__ import annotations

import json
import multiprocessing
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nuclex.bundle import load
from nuclex.cli.main import main
from nuclex.core.artifact import sha256_file
from nuclex.core.config import load_config
from nuclex.core.errors import CorruptError, InputError, StoppedError
from nuclex.core.progress import quiet
from nuclex.data.sample import SamplingConfig, plan_epoch, windows
from nuclex.data.store import Corpus
from nuclex.models import LanguageModel
from nuclex.training import checkpoint, update
from nuclex.training.duration import TrainingConfig
from nuclex.training.pretrain import (
    LanguageWork,
    PretrainConfig,
    build_model,
    build_work,
    plan,
    pretrain,
    table_of,
    vocabulary_size,
)
from nuclex.training.tokenize import tokenizer_train
from nuclex.training.tracking import read_metrics

RECIPE: dict[str, Any] = {
    "seed": 7,
    "tokenizer": {"kind": "nucleotide"},
    "model": {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2, "dropout": 0.1, "attention_dropout": 0.1},
    "sampling": {"members": "all", "max_tokens": 40, "batch_tokens": 300, "micro_tokens": 150},
    "training": {
        "steps": 24,
        "evaluate_every": 7,
        "checkpoint_every": 5,
        "log_every": 1,
        "schedule": {"rate": 5e-3, "warmup": 3},
    },
    "validation_sequences": 6,
}


def recipe(corpus: Path, **settings: Any) -> PretrainConfig:
    return load_config(PretrainConfig, None, {**RECIPE, "corpus": str(corpus), **settings})


def run_quietly(config: PretrainConfig, out: Path, resume: bool = False) -> dict[str, Any]:
    with quiet():
        return pretrain(config, out, resume=resume)


def results(run: Path) -> dict[str, Any]:
    """What must be equal, bit for bit, however often a run was stopped."""
    records = read_metrics(run)
    losses = [(record["step"], record["loss"], record["gradient_norm"]) for record in records if "loss" in record]
    looks = [tuple(record.items()) for record in records if "loss" not in record]
    sums = {name: sha256_file(run / "bundle" / name / "model.safetensors") for name in (".", "best")}
    metrics = {name: load(run / "bundle" / name).record.metrics for name in (".", "best")}
    return {"sums": sums, "losses": losses, "looks": looks, "metrics": metrics}


@pytest.fixture(scope="module")
def whole(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was never stopped."""
    run = tmp_path_factory.mktemp("whole") / "run"
    run_quietly(recipe(tiny_corpus), run)
    return run


@pytest.mark.parametrize(
    "tokenizer", [{"kind": "nucleotide"}, {"kind": "codon", "frame": 0, "remainder": "trim"}, {"kind": "kmer", "k": 3}]
)
def test_the_number_that_decides_is_asked_for_before_the_run(tiny_corpus: Path, tokenizer: dict[str, Any]) -> None:
    """Every number that a look gives may decide, and no other; of a stored tokenizer it may be one of codons."""

    def deciding(metric: str, **settings: Any) -> PretrainConfig:
        return recipe(tiny_corpus, tokenizer=tokenizer, training={"best_metric": metric}, **settings)

    config = deciding("score")
    work = build_work(config, Corpus.open(tiny_corpus), config.tokenizer.build())
    given = work.evaluate(build_model(config, work.tokenizer).eval())
    assert ("validation_amino_acid_accuracy" in given) == (tokenizer["kind"] != "nucleotide")
    for metric in given:
        deciding(metric)
    sentence = re.escape(f"training.best_metric: found 'val_loss'; a look gives {', '.join(sorted(given))}")
    with pytest.raises(InputError, match=sentence):
        deciding("val_loss")
    deciding("validation_amino_acid_accuracy", tokenizer_folder="trained")


# ---- a whole run ----


def test_in_epochs_it_is_the_same_run(whole: Path, tiny_corpus: Path, tmp_path: Path) -> None:
    """Also when it goes on from update 20; a broken update is rounded up."""
    work = build_work(recipe(tiny_corpus), Corpus.open(tiny_corpus), load(whole / "bundle").tokenizer)
    epochs = 23.5 / work.batches(0)
    training = {name: value for name, value in RECIPE["training"].items() if name != "steps"}
    config = recipe(tiny_corpus, training={**training, "epochs": epochs})
    assert (plan(config)["steps"], plan(config)["epochs"]) == (None, epochs), "updates are counted by the run"
    assert run_quietly(config, tmp_path / "run")["steps"] == 24
    assert results(tmp_path / "run") == results(whole)
    written = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert (written["steps"], written["epochs"], written["tokens"]) == (24, epochs, 24 * 300)
    for name in ("bundle", "checkpoints/step-00000024"):
        shutil.rmtree(tmp_path / "run" / name)
    run_quietly(recipe(tiny_corpus, training={**training, "epochs": epochs}), tmp_path / "run", resume=True)
    assert results(tmp_path / "run")["sums"] == results(whole)["sums"]


def test_a_run_leaves_what_the_design_says(whole: Path, tiny_corpus: Path) -> None:
    names = {path.name for path in whole.iterdir()}
    assert names == {
        "bundle",
        "checkpoints",
        "config.json",
        "metrics.jsonl",
        "plan.json",
        "provenance.json",
        "tokenizer",
    }
    assert json.loads((whole / "config.json").read_text()) == recipe(tiny_corpus).to_data()
    assert sorted(path.name for path in (whole / "checkpoints").iterdir()) == ["best", "step-00000020", "step-00000024"]
    provenance = json.loads((whole / "provenance.json").read_text())
    assert (provenance["seed"], provenance["threads"]) == (7, torch.get_num_threads())
    written, planned = json.loads((whole / "plan.json").read_text()), plan(recipe(tiny_corpus))
    assert written["parameters"] == planned["parameters"]
    assert (written["steps"], written["tokens"]) == (planned["steps"], planned["tokens"]) == (24, 24 * 300)


def test_several_epochs_are_seen_and_the_loss_falls(whole: Path) -> None:
    records = [record for record in read_metrics(whole) if "loss" in record]
    assert [record["step"] for record in records] == list(range(1, 25))
    assert records[-1]["epoch"] >= 2
    assert np.mean([record["loss"] for record in records[-5:]]) < records[0]["loss"] - 0.5
    looks = [record["step"] for record in read_metrics(whole) if "score" in record]
    assert looks == [7, 14, 21, 24]


def test_the_bundle_is_the_best_model_and_says_how_good_it_is(whole: Path, tiny_corpus: Path) -> None:
    bundle = load(whole / "bundle" / "best")
    work = build_work(recipe(tiny_corpus), Corpus.open(tiny_corpus), bundle.tokenizer)
    numbers = work.evaluate(bundle.model)
    assert numbers["validation_loss"] == pytest.approx(bundle.record.metrics["validation_loss"], rel=1e-6)
    scores = {record["step"]: record["score"] for record in read_metrics(whole) if "score" in record}
    assert bundle.record.metrics["step"] == max(scores, key=lambda step: scores[step])
    assert bundle.record.recipe == recipe(tiny_corpus).to_data()


def test_the_seed_decides(whole: Path, tiny_corpus: Path, tmp_path: Path) -> None:
    run_quietly(recipe(tiny_corpus), tmp_path / "again")
    assert results(tmp_path / "again") == results(whole)
    run_quietly(recipe(tiny_corpus, seed=8), tmp_path / "other")
    assert results(tmp_path / "other")["sums"] != results(whole)["sums"]


def test_building_a_model_leaves_random_numbers_alone(tiny_corpus: Path, whole: Path) -> None:
    tokenizer = load(whole / "bundle").tokenizer
    torch.manual_seed(3)
    first = build_model(recipe(tiny_corpus), tokenizer)
    drawn = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(2), drawn)
    torch.manual_seed(4)
    second = build_model(recipe(tiny_corpus), tokenizer)
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), second.parameters(), strict=True))


# ---- the loss of the whole batch ----


def gradients(work: LanguageWork, model: LanguageModel, micro_tokens: int) -> tuple[float, list[torch.Tensor]]:
    sampling = work.config.sampling.model_copy(update={"micro_tokens": micro_tokens})
    config = work.config.model_copy(update={"sampling": sampling})
    split = LanguageWork(config, work.tokenizer, work.table, work.validation)
    micros = split.micro_batches(0, 0, 0, 1)
    if micro_tokens < 100:
        assert len(micros) > 4
        assert len({split.targets(micro) for micro in micros}) > 2, "unequal counts, else this test shows nothing"
    model.zero_grad()
    learner = update.Learner(torch.optim.SGD(model.parameters()))
    running = update.Updates(model, split, TrainingConfig(), learner, checkpoint.Place(), 0)
    loss = running._accumulate(running._dealt(0, 0))
    return loss, [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def test_gradients_do_not_depend_on_how_a_batch_is_divided(tiny_corpus: Path, whole: Path) -> None:
    still = {**RECIPE["model"], "dropout": 0.0, "attention_dropout": 0.0}
    config, tokenizer = recipe(tiny_corpus, model=still), load(whole / "bundle").tokenizer
    model = build_model(config, tokenizer).double()
    work = build_work(config, Corpus.open(tiny_corpus), tokenizer)
    loss, wanted = gradients(work, model, 10_000)
    many_loss, found = gradients(work, model, 60)
    assert many_loss == pytest.approx(loss, rel=1e-6)
    assert len(found) == len(wanted) == len(list(model.parameters()))
    for one, other in zip(found, wanted, strict=True):
        assert float((one - other).norm() / other.norm()) < 1e-6


def test_the_devices_of_a_world_share_one_batch(tiny_corpus: Path, whole: Path) -> None:
    config, tokenizer = recipe(tiny_corpus), load(whole / "bundle").tokenizer
    work = build_work(config, Corpus.open(tiny_corpus), tokenizer)
    alone = work.micro_batches(0, 1, 0, 1)
    for world in (2, 3, 4):
        dealt = [micro for rank in range(world) for micro in work.micro_batches(0, 1, rank, world)]
        assert sum(map(work.targets, dealt)) == sum(map(work.targets, alone))
        masked = [
            sorted(token for micro in part for token in micro.question.inputs_T.tolist()) for part in (dealt, alone)
        ]
        assert masked[0] == masked[1], "the same tokens, masked the same way"


# ---- stopped and resumed ----


def stop_at(calls: int) -> Any:
    """A loss that sends SIGTERM to its own process at its n-th call."""
    loss, count = LanguageWork.loss, 0

    def stopping(work: LanguageWork, model: torch.nn.Module, micro: Any) -> torch.Tensor:
        nonlocal count
        count += 1
        if count == calls:
            signal.raise_signal(signal.SIGTERM)
        return loss(work, model, micro)

    return stopping


@pytest.fixture
def stopped(tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that SIGTERM stopped in the middle of an epoch."""
    with monkeypatch.context() as patch:
        patch.setattr(LanguageWork, "loss", stop_at(25))
        with pytest.raises(StoppedError) as error:
            run_quietly(recipe(tiny_corpus), tmp_path / "run")
    assert error.value.exit_code == 143
    assert not (tmp_path / "run" / "bundle").exists()
    return tmp_path / "run"


def newest(run: Path) -> Path:
    return max((run / "checkpoints").glob("step-*"))


def test_stopped_and_resumed_is_bit_for_bit_the_same(stopped: Path, whole: Path, tiny_corpus: Path) -> None:
    assert newest(stopped).name not in ("step-00000005", "step-00000010", "step-00000015"), "between two of the regular"
    run_quietly(recipe(tiny_corpus), stopped, resume=True)
    assert results(stopped) == results(whole)


@pytest.mark.parametrize(
    ("objective", "model"),
    [
        ("causal", {"kind": "mamba", "depth": 2, "attention_every": 2}),
        ("masked", {"kind": "mamba", "depth": 1, "causal": False, "version": 2, "state_space": {"head_size": 8}}),
        ("causal", {"kind": "hyena", "depth": 2, "inner": 24}),
    ],
)
def test_other_mixers_in_half_precision_go_on_bit_for_bit(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str, model: dict[str, Any]
) -> None:
    sizes = {"width": 16, "heads": 2, "dropout": 0.1} if model["kind"] == "mamba" else {"width": 16, "dropout": 0.1}
    training = {**RECIPE["training"], "steps": 8, "precision": "bf16-weights"}
    config = recipe(tiny_corpus, model={**sizes, **model}, objective={"kind": objective}, training=training)
    run_quietly(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(LanguageWork, "loss", stop_at(13))
        with pytest.raises(StoppedError):
            run_quietly(config, tmp_path / "run")
    run_quietly(config, tmp_path / "run", resume=True)
    assert results(tmp_path / "run") == results(tmp_path / "whole")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[2 * len(content) // 3] ^= 0x10
    path.write_bytes(content)


def edit(path: Path) -> None:
    facts = path.with_name("checkpoint.json")
    facts.write_text(facts.read_text().replace('"epoch": ', '"epoch": 1'))


@pytest.mark.parametrize("damage", [truncate, flip, edit], ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_is_refused_and_the_result_is_the_same(
    damage: Callable[[Path], None], stopped: Path, whole: Path, tiny_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = newest(stopped)
    damage(bad / "state.safetensors")
    pretrain(recipe(tiny_corpus), stopped, resume=True)
    said = [line for line in capsys.readouterr().err.splitlines() if "refused a damaged checkpoint" in line]
    assert len(said) == 1
    assert bad.name in said[0]
    assert results(stopped) == results(whole)


def test_without_any_sound_checkpoint_it_says_so(stopped: Path, tiny_corpus: Path) -> None:
    before = [truncate(path) for path in (stopped / "checkpoints").glob("step-*/state.safetensors")]
    with pytest.raises(
        CorruptError, match=r"checkpoints: no checkpoint in it is whole \(.*has \d+ bytes.*\); put a"
    ) as error:
        run_quietly(recipe(tiny_corpus), stopped, resume=True)
    assert error.value.exit_code == 4
    assert len(list((stopped / "checkpoints").glob("step-*"))) == len(before), "nothing is taken away"


def test_a_run_killed_before_its_bundle_gets_the_bundle_it_would_have_had(
    whole: Path, tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def killed(*given: Any) -> Path:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("nuclex.training.pretrain.finish_bundles", killed)
        with pytest.raises(KilledError):
            run_quietly(recipe(tiny_corpus), tmp_path / "run")
    done = run_quietly(recipe(tiny_corpus), tmp_path / "run", resume=True)
    assert results(tmp_path / "run") == results(whole)
    assert done["steps"] == 24
    assert done["metrics"]["validation_loss"] == results(whole)["metrics"]["."]["validation_loss"]


def test_another_recipe_or_corpus_is_not_resumed(stopped: Path, tiny_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json: is not the config given now"):
        run_quietly(recipe(tiny_corpus, seed=9), stopped, resume=True)
    with pytest.raises(InputError, match="holds a run already; continue it with --resume"):
        run_quietly(recipe(tiny_corpus), stopped)


def test_a_corpus_that_was_rebuilt_is_another_corpus(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nuclex.data.corpus import CorpusConfig, build_corpus

    def build(seed: int) -> None:
        settings = {"seed": seed, "cluster": {"method": "none"}, "split": {"by": "random", "validation": 0.2}}
        with quiet():
            build_corpus([tiny_corpus.parent / "families.fa"], tmp_path / "corpus", CorpusConfig.from_data(settings))

    build(0)
    with monkeypatch.context() as patch:
        patch.setattr(LanguageWork, "loss", stop_at(5))
        with pytest.raises(StoppedError):
            run_quietly(recipe(tmp_path / "corpus"), tmp_path / "run")
    shutil.rmtree(tmp_path / "corpus")
    build(1)
    with pytest.raises(
        InputError, match=r"step-0000000\d: was written with another corpus; resume with the same recipe"
    ):
        run_quietly(recipe(tmp_path / "corpus"), tmp_path / "run", resume=True)


# ---- a causal model ----


CAUSAL: dict[str, Any] = {
    "objective": {"kind": "causal"},
    "model": {"kind": "gpt2", "depth": 1, "width": 16, "heads": 2, "inner": 24, "max_positions": 40, "dropout": 0.1},
}


def test_a_causal_run_learns_and_stopped_and_resumed_it_is_the_same(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = recipe(tiny_corpus, **CAUSAL)
    done = run_quietly(config, tmp_path / "whole")
    told = results(tmp_path / "whole")
    assert np.mean([loss for _, loss, _ in told["losses"][-5:]]) < told["losses"][0][1] - 0.5
    with monkeypatch.context() as patch:
        patch.setattr(LanguageWork, "loss", stop_at(25))
        with pytest.raises(StoppedError):
            run_quietly(config, tmp_path / "run")
    run_quietly(config, tmp_path / "run", resume=True)
    assert results(tmp_path / "run") == told
    bundle, corpus = load(done["bundle"]), Corpus.open(tiny_corpus)
    work = build_work(config, corpus, bundle.tokenizer)
    assert done["metrics"]["validation_tokens"] == (work.validation.lengths_N + 1).sum(), "the ends are foretold too"
    micro = work.micro_batches(0, 0, 0, 1)[0]
    lengths = micro.batch.lengths_N
    assert work.targets(micro) == (lengths - 1).sum() == work.tokens(micro) - len(lengths)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model": CAUSAL["model"]}, r"'masked' needs a model that sees both sides, found one that only looks back"),
        ({"objective": {"kind": "causal"}}, r"'causal' needs a model that only looks back \(causal\), found one that"),
        ({"model": {"kind": "mamba"}}, "'masked' needs a model that sees both sides"),
        ({"model": {"kind": "mamba", "causal": False}, "objective": {"kind": "causal"}}, "found one that sees both"),
        ({**CAUSAL, "sampling.max_tokens": 3}, "a causal model needs 4 or more, so that windows can overlap"),
        ({"model": {"kind": "bert", "head": "none"}}, "an encoder without a language head cannot learn"),
    ],
)
def test_objective_and_model_look_the_same_way(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        load_config(PretrainConfig, None, {**RECIPE, **settings})
    assert "\n" not in str(error.value)


# ---- kills from outside ----


@pytest.fixture(scope="module")
def starter() -> Any:
    """Starts processes that have nuclex imported already, so that a kill hits the run and not an import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nuclex.cli.main", "nuclex.training.pretrain"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        context.Process(target=time.time).start()  # the server starts with this environment
    return context


class Killing:
    """A run as a process of its own: started, killed at any moment, resumed."""

    def __init__(self, starter: Any, folder: Path, corpus: Path, steps: int = 60) -> None:
        self.starter, self.run = starter, folder / "run"
        config = recipe(corpus, training={**RECIPE["training"], "steps": steps, "checkpoint_every": 4})
        (folder / "recipe.yaml").write_text(json.dumps(config.to_data()))
        self.arguments = ["pretrain", str(folder / "recipe.yaml"), "--device", "cpu", "--quiet", "--out", str(self.run)]

    def start(self, resume: bool = True) -> ForkServerProcess:
        process: ForkServerProcess = self.starter.Process(
            target=main, args=([*self.arguments, *["--resume"][:resume]],)
        )
        process.start()
        return process

    def finish(self) -> dict[str, Any]:
        process = self.start()
        process.join(120)
        assert process.exitcode == 0
        return results(self.run)

    def wait_for_step(self, process: ForkServerProcess, step: int) -> None:
        deadline, path = time.monotonic() + 60, self.run / "metrics.jsonl"
        while time.monotonic() < deadline and process.is_alive():
            if path.is_file() and path.read_text().count("\n") >= step:
                return
            time.sleep(0.002)
        pytest.fail(f"step {step} was not reached (exit code {process.exitcode})")


@pytest.fixture
def killing(starter: Any, tmp_path: Path, tiny_corpus: Path) -> Killing:
    return Killing(starter, tmp_path, tiny_corpus)


@pytest.fixture(scope="module")
def unkilled(starter: Any, tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Path) -> dict[str, Any]:
    """What the process gives that nobody kills."""
    return Killing(starter, tmp_path_factory.mktemp("unkilled"), tiny_corpus).finish()


@pytest.mark.slow
def test_sigterm_gives_143_and_a_run_that_goes_on(killing: Killing, unkilled: dict[str, Any]) -> None:
    process = killing.start(resume=False)
    killing.wait_for_step(process, 10)
    process.terminate()
    process.join(60)
    assert process.exitcode == 143
    assert 10 <= int(newest(killing.run).name[5:]) < 60
    assert killing.finish() == unkilled


@pytest.mark.parametrize(
    ("kills", "steps", "seed"),
    [
        pytest.param(3, 60, 1, marks=pytest.mark.slow),
        *(pytest.param(20, 300, seed, marks=pytest.mark.long) for seed in (2, 3)),
    ],
)
def test_kills_do_not_change_a_bit(
    kills: int, steps: int, seed: int, starter: Any, tmp_path: Path, tiny_corpus: Path
) -> None:
    """SIGKILL at random moments, from the first moment of the process on; then to the end."""
    (tmp_path / "whole").mkdir()
    unkilled = Killing(starter, tmp_path / "whole", tiny_corpus, steps).finish()
    killing = Killing(starter, tmp_path, tiny_corpus, steps)
    moments, hits = random.Random(seed), 0
    for _ in range(kills):
        process = killing.start()
        process.join(moments.uniform(0.0, 1.5))
        process.kill()
        process.join()
        hits += process.exitcode == -signal.SIGKILL
        assert process.exitcode in (0, -signal.SIGKILL), "0: it was faster than the kill"
    assert killing.finish() == unkilled
    assert not list(killing.run.rglob(".tmp-*")), "what the kills left is cleared"
    assert hits > 0


# ---- what does not fit ----


def test_a_corpus_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^corpus: missing; give the folder of a corpus with --corpus DIR$"):
        run_quietly(load_config(PretrainConfig, None, RECIPE), tmp_path / "run")
    with pytest.raises(InputError, match="is not a corpus"):
        run_quietly(recipe(tmp_path), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_damaged_corpus_is_refused(tiny_corpus: Path, tmp_path: Path) -> None:
    copy = tmp_path / "corpus"
    copy.mkdir()
    for path in tiny_corpus.iterdir():
        content = bytearray(path.read_bytes())
        content[-9] ^= path.suffix == ".arrow"
        (copy / path.name).write_bytes(content)
    with pytest.raises(CorruptError, match=r"\.arrow: its sha256 differs"):
        run_quietly(recipe(copy), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_with_too_few_positions_is_refused(tiny_corpus: Path, tmp_path: Path) -> None:
    roberta = {"kind": "roberta", "depth": 1, "width": 16, "heads": 2, "inner": 16, "max_positions": 40}
    with pytest.raises(InputError, match=r"sampling\.max_tokens: 40 is more than the 38 positions of the model"):
        run_quietly(recipe(tiny_corpus, model=roberta), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_training_sequences_leave_no_run(tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indices = Corpus.indices
    monkeypatch.setattr(Corpus, "indices", lambda corpus, split: indices(corpus, split)[: 0 if split == "train" else 9])
    with pytest.raises(InputError, match="corpus: its train split holds no sequences; lower the validation and test"):
        run_quietly(recipe(tiny_corpus), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- tokenizers, validation, plan ----


def test_a_tokenizer_is_learned_once_or_taken(tiny_corpus: Path, tmp_path: Path) -> None:
    bpe = {"kind": "bpe", "vocab_size": 40}
    small = {**RECIPE["training"], "steps": 2}
    run_quietly(recipe(tiny_corpus, tokenizer=bpe, training=small), tmp_path / "learned")
    learned = load(tmp_path / "learned" / "bundle").tokenizer
    done = tokenizer_train(tiny_corpus, tmp_path / "bpe", bpe)
    assert len(learned) == done["vocabulary"]
    taking = recipe(tiny_corpus, tokenizer=bpe, training=small, tokenizer_folder=str(tmp_path / "bpe"))
    run_quietly(taking, tmp_path / "taken")
    sums = [sha256_file(tmp_path / name / "bundle" / "model.safetensors") for name in ("learned", "taken")]
    assert sums[0] == sums[1]
    assert vocabulary_size(taking) == done["vocabulary"]
    flip(tmp_path / "bpe" / "tokenizer.json")
    with pytest.raises(CorruptError, match=r"bpe/tokenizer\.json: its sha256 differs"):
        run_quietly(taking, tmp_path / "none")
    with pytest.raises(InputError, match="no such file; a folder with a tokenizer"):
        run_quietly(recipe(tiny_corpus, tokenizer_folder=str(tmp_path)), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_without_a_validation_split_the_last_model_is_kept(tiny_corpus: Path, tmp_path: Path) -> None:
    from nuclex.data.corpus import CorpusConfig, build_corpus

    (tmp_path / "a.fa").write_text("".join(f">{n}\n{'ACGTTGCAAC' * 3}{'ACGT'[n]}\n" for n in range(4)))
    settings = {"cluster": {"method": "none"}, "split": {"by": "random", "validation": 0.0, "test": 0.0}}
    with quiet():
        build_corpus([tmp_path / "a.fa"], tmp_path / "corpus", CorpusConfig.from_data(settings))
    small = {**RECIPE["training"], "steps": 2}
    done = run_quietly(recipe(tmp_path / "corpus", training=small), tmp_path / "run")
    assert done["bundle"] == str(tmp_path / "run" / "bundle")
    assert done["metrics"]["best_step"] is None
    load(done["bundle"])


def test_validation_is_a_fixed_sample(tiny_corpus: Path, whole: Path) -> None:
    corpus, tokenizer = Corpus.open(tiny_corpus), load(whole / "bundle").tokenizer
    first, again = (build_work(recipe(tiny_corpus), corpus, tokenizer).validation for _ in range(2))
    assert first.rows_N.tolist() == again.rows_N.tolist()
    assert len(first) == 6
    assert set(first.rows_N.tolist()) <= set(corpus.indices("validation").tolist())
    everything = build_work(recipe(tiny_corpus, validation_sequences=10_000), corpus, tokenizer).validation
    assert everything.rows_N.tolist() == corpus.indices("validation").tolist()


def test_a_plan_needs_neither_corpus_nor_time() -> None:
    config = load_config(PretrainConfig, None, RECIPE)
    planned = plan(config)
    tokenizer = config.tokenizer.build()
    assert planned["parameters"] == sum(value.numel() for value in build_model(config, tokenizer).parameters())
    assert planned["vocabulary_size"] == 22
    assert planned["tokens"] == 24 * 300
    learning = load_config(PretrainConfig, None, {**RECIPE, "tokenizer": {"kind": "bpe", "vocab_size": 99}})
    assert plan(learning)["vocabulary_size"] == 99


def test_what_is_trained_on_is_what_sampling_gives(tiny_corpus: Path, whole: Path) -> None:
    config, tokenizer = recipe(tiny_corpus), load(whole / "bundle").tokenizer
    corpus = Corpus.open(tiny_corpus)
    work = build_work(config, corpus, tokenizer)
    assert work.table.rows_N.tolist() == corpus.indices("train").tolist()
    epoch = plan_epoch(work.table, config.sampling, 7, 3)
    assert work.batches(3) == epoch.batches
    lengths = [part.batch.lengths_N.tolist() for part in work.micro_batches(3, 1, 0, 1)]
    assert lengths == [pieces.lengths_P.tolist() for pieces in epoch.micro_batches(1)]
    rows = corpus.indices("test")
    table = table_of(corpus, tokenizer, rows)
    assert table.clusters_N.tolist() == corpus.clusters[rows].tolist()
    assert windows(table, SamplingConfig().max_tokens).lengths_P.tolist() == (corpus.lengths[rows] + 2).tolist()


def test_as_many_sequences_are_learnt_from_as_asked(tiny_corpus: Path) -> None:
    """They are drawn by the seed, and what is validated on stays the same."""
    corpus, whole = Corpus.open(tiny_corpus), recipe(tiny_corpus)
    tokenizer = whole.tokenizer.build()
    some = build_work(recipe(tiny_corpus, train_sequences=7), corpus, tokenizer)
    others = build_work(recipe(tiny_corpus, train_sequences=7, seed=8), corpus, tokenizer)
    everything = build_work(whole, corpus, tokenizer)
    assert len(some.table) == len(set(some.table.rows_N.tolist())) == 7
    assert set(some.table.rows_N.tolist()) < set(corpus.indices("train").tolist())
    assert some.table.rows_N.tolist() != others.table.rows_N.tolist()
    assert some.validation.rows_N.tolist() == everything.validation.rows_N.tolist()
    assert len(build_work(recipe(tiny_corpus, train_sequences=999), corpus, tokenizer).table) == len(everything.table)
