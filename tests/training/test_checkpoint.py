from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nuclex.core.artifact import MANIFEST, write_manifest
from nuclex.core.errors import CorruptError, InputError
from nuclex.models import LanguageModel, Layout, RobertaConfig
from nuclex.training.checkpoint import FACTS, STATE, Place, latest_checkpoint, load_checkpoint, prune, save_checkpoint
from nuclex.training.environment import environment
from nuclex.training.optimizer import OptimizerConfig, build_optimizer

IDENTITY = {"config": "abc", "seed": 3}
CONFIG = RobertaConfig(depth=1, width=8, heads=2, inner=12, max_positions=20).backbone()
LAYOUT = Layout.of([5, 4])


def made(seed: int) -> tuple[LanguageModel, torch.optim.AdamW]:
    torch.manual_seed(seed)
    model = LanguageModel(CONFIG, vocabulary_size=12, pad_id=1, mask_id=4)
    optimizer = build_optimizer(model.named_parameters(), OptimizerConfig())
    for group in optimizer.param_groups:
        group["lr"] = 1e-2
    return model, optimizer


def learn(model: LanguageModel, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        torch.manual_seed(step)
        model(torch.randint(12, (9,)), LAYOUT).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Checkpoints of the steps 2, 4 and 6 of a run."""
    model, optimizer = made(0)
    for step in (2, 4, 6):
        learn(model, optimizer, 2)
        save_checkpoint(tmp_path, model, optimizer, Place(step, best_score=-1 / 3, last={"loss": 0.1 + step}), IDENTITY)
    return tmp_path


def test_a_restored_run_goes_on_bit_for_bit(run: Path) -> None:
    kept_model, kept_optimizer = made(0)
    learn(kept_model, kept_optimizer, 2)
    learn(kept_model, kept_optimizer, 2)
    model, optimizer = made(99)
    place = load_checkpoint(run / "step-00000004", model, optimizer, IDENTITY)
    assert place == Place(4, best_score=-1 / 3, last={"loss": 4.1})
    learn(model, optimizer, 2)
    learn(kept_model, kept_optimizer, 2)
    for (name, found), wanted in zip(model.named_parameters(), kept_model.parameters(), strict=True):
        assert torch.equal(found, wanted), name
    assert model.head.decoder.weight is model.embedding.tokens.weight, "a tied weight stays tied"
    for found, wanted in zip(model.parameters(), kept_model.parameters(), strict=True):
        assert optimizer.state[found].keys() == kept_optimizer.state[wanted].keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(
            torch.equal(value, kept_optimizer.state[wanted][key]) for key, value in optimizer.state[found].items()
        )


def test_a_checkpoint_says_what_it_belongs_to(run: Path) -> None:
    facts = json.loads((run / "step-00000006" / FACTS).read_text())
    assert facts["identity"] == IDENTITY
    assert facts["threads"] == torch.get_num_threads()
    assert facts["packages"]["torch"]


def test_another_run_is_not_taken_up(run: Path) -> None:
    model, optimizer = made(1)
    before = [value.clone() for value in model.parameters()]
    for key, value in (("config", "other"), ("seed", 4), ("corpus", "new")):
        with pytest.raises(
            InputError, match=f"step-00000006: was written with another {key}; resume with the same recipe"
        ):
            load_checkpoint(run / "step-00000006", model, optimizer, {**IDENTITY, key: value})
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), before, strict=True)), "nothing was filled in"


def test_weights_of_another_network_are_not_filled_in(run: Path) -> None:
    model = LanguageModel(CONFIG.model_copy(update={"depth": 2}), vocabulary_size=12, pad_id=1, mask_id=4)
    with pytest.raises(CorruptError, match=r"lacks the weight 'blocks\.1"):
        load_checkpoint(run / "step-00000006", model, None, IDENTITY)


def test_other_threads_are_told_of(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads((run / "step-00000006" / FACTS).read_text())
    (run / "step-00000006" / FACTS).write_text(json.dumps({**facts, "threads": 77}))
    load_checkpoint(run / "step-00000006", *made(0), IDENTITY)
    said = capsys.readouterr().err
    assert said == f"resuming with {torch.get_num_threads()} threads, 77 before: not bit for bit the same\n"
    packages = {**facts["packages"], "torch": "0.4.1"}
    (run / "step-00000006" / FACTS).write_text(json.dumps({**facts, "packages": packages}))
    load_checkpoint(run / "step-00000006", *made(0), IDENTITY)
    assert capsys.readouterr().err.endswith(", 0.4.1 before: not bit for bit the same\n")


def test_whatever_changed_is_named_in_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads((run / "step-00000006" / FACTS).read_text())
    found = environment(torch.device("cpu"))
    assert facts.items() >= found.items()
    before = {"threads": 99, "cpu": "SSE9", "device": "cuda", "machine": "vax"}
    packages = {**facts["packages"], "torch": "0.4.1", "numpy": "1.0", "nuclex": "0.0.1", "scipy": "0"}
    (run / "step-00000006" / FACTS).write_text(json.dumps({**facts, **before, "packages": packages}))
    load_checkpoint(run / "step-00000006", *made(0), IDENTITY)
    (line,) = capsys.readouterr().err.splitlines()
    for words in ("threads, 99 before", "SSE9 before", "cuda before", "vax before", "0.4.1 before", "1.0 before"):
        assert words in line
    assert f"nuclex {found['packages']['nuclex']}, 0.0.1 before" in line
    assert f"numpy {found['packages']['numpy']}, 1.0 before" in line
    assert "scipy" not in line, "weights do not depend on it"
    load_checkpoint(run / "step-00000004", *made(0), IDENTITY)
    assert capsys.readouterr().err == "", "where nothing changed nothing is said"


def test_a_place_of_another_version_is_refused(run: Path) -> None:
    facts = json.loads((run / "step-00000006" / FACTS).read_text())
    facts["place"]["mood"] = 3
    (run / "step-00000006" / FACTS).write_text(json.dumps(facts))
    with pytest.raises(InputError, match="was written by a version of nuclex that this one cannot follow"):
        load_checkpoint(run / "step-00000006", *made(0), IDENTITY)


def flip(folder: Path) -> None:
    content = bytearray((folder / STATE).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / STATE).write_bytes(content)


def cut(folder: Path) -> None:
    (folder / STATE).write_bytes((folder / STATE).read_bytes()[:-1])


def edit(folder: Path) -> None:
    (folder / FACTS).write_text((folder / FACTS).read_text().replace('"epoch": 0', '"epoch": 1'))


def lose(folder: Path) -> None:
    (folder / STATE).unlink()


def add(folder: Path) -> None:
    (folder / "notes.txt").touch()


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def become_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


DAMAGES = [flip, cut, edit, lose, add, empty, become_a_file]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_is_refused_for_the_one_before(
    damage: Callable[[Path], None], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(run / "step-00000006")
    assert latest_checkpoint(run) == run / "step-00000004"
    said = capsys.readouterr().err
    assert said.startswith("refused a damaged checkpoint: ")
    assert "step-00000006" in said
    assert said.endswith("; going on from step-00000004\n")
    damage(run / "step-00000004")
    assert latest_checkpoint(run) == run / "step-00000002"
    assert capsys.readouterr().err.count("; going on from step-00000002\n") == 2
    damage(run / "step-00000002")
    with pytest.raises(CorruptError, match=r"no checkpoint in it is whole \(.*step-00000006.*\); put a sound copy"):
        latest_checkpoint(run)


def test_a_checkpoint_under_another_name_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "step-00000006").rename(run / "step-00000008")
    assert latest_checkpoint(run) == run / "step-00000004"
    assert "step-00000008: is the checkpoint of step 6 under another name; going on" in capsys.readouterr().err


def test_the_newest_up_to_a_step(run: Path) -> None:
    assert latest_checkpoint(run, 5) == run / "step-00000004"
    assert latest_checkpoint(run, 1) is None


def test_an_unfinished_or_unrelated_folder_is_no_checkpoint(run: Path) -> None:
    shutil.copytree(run / "step-00000006", run / ".tmp-step-00000008-x")
    shutil.copytree(run / "step-00000006", run / "best")
    assert latest_checkpoint(run) == run / "step-00000006"
    assert latest_checkpoint(run / "nowhere") is None


def test_an_edit_with_a_new_manifest_is_an_edit_all_the_same(run: Path) -> None:
    """Sums protect against accidents; what someone rewrites on purpose is believed."""
    edit(run / "step-00000006")
    (run / "step-00000006" / MANIFEST).unlink()
    write_manifest(run / "step-00000006")
    assert latest_checkpoint(run) == run / "step-00000006"


def left(run: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in run.glob("step-*"))


def test_only_the_newest_are_kept(run: Path) -> None:
    prune(run, 2, 6)
    assert left(run) == [4, 6]
    prune(run, 5, 6)
    assert left(run) == [4, 6]


def test_what_is_spared_stays(run: Path) -> None:
    prune(run, 1, 6, [2])
    assert left(run) == [2, 6]
    assert sorted(path.name for path in run.iterdir()) == ["step-00000002", "step-00000006"]


def test_a_refused_checkpoint_does_not_push_out_a_good_one(run: Path) -> None:
    become_a_file(run / "step-00000006")
    model, optimizer = made(0)
    save_checkpoint(run, model, optimizer, Place(5), IDENTITY)
    prune(run, 1, 5)
    assert left(run) == [5]


def test_a_checkpoint_is_replaced_by_the_same_step(run: Path) -> None:
    flip(run / "step-00000006")
    save_checkpoint(run, *made(5), Place(6), IDENTITY)
    assert latest_checkpoint(run) == run / "step-00000006"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{", "{" * 50_000),
        ('"identity"', '"identitx"'),
        ('"step": 6', '"step": "six"'),
        ('"batch": 0', '"batch": -1'),
        ('"tokens": 0', '"tokens": 0.5'),
        ('"loss": 6.1', '"loss": "low"'),
        ('"place": {', '"place": [{'),
        ('"loss"', '"lo\x00ss"'),
    ],
)
def test_an_edited_record_is_damage_and_no_bug(run: Path, before: str, after: str) -> None:
    folder = run / "step-00000006"
    text = (folder / FACTS).read_text()
    assert before in text
    (folder / FACTS).write_text(text.replace(before, after, 1))
    write_manifest(folder)
    with pytest.raises(CorruptError, match=r"checkpoint\.json: is not a readable record"):
        load_checkpoint(folder, *made(0), IDENTITY)
    assert latest_checkpoint(run) == run / "step-00000004"


def test_edited_tensors_are_damage_and_no_bug(run: Path) -> None:
    folder = run / "step-00000006"
    whole = (folder / STATE).read_bytes()
    (folder / STATE).write_bytes(b"\xff" * 8 + whole[8:])
    with pytest.raises(CorruptError, match=r"state\.safetensors: is not a readable safetensors file"):
        load_checkpoint(folder, *made(0), IDENTITY)
    tensors = load_file(run / "step-00000004" / STATE)
    name = next(name for name in tensors if name.endswith("weight.exp_avg"))
    for wrong in (tensors[name][:1].clone(), tensors[name].long()):
        save_file({**tensors, name: wrong}, folder / STATE)
        with pytest.raises(CorruptError, match="exp_avg does not fit its weight"):
            load_checkpoint(folder, *made(0), IDENTITY)
