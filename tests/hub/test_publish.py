"""Publishing to a hub on this machine: what arrives is what was written, and a token is in nothing that is said."""

import dataclasses
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import fakehub

pytest.importorskip("huggingface_hub", reason="needs the extra hub")
pytest.importorskip("transformers", reason="needs the extra hub")

import nuclex
from fakehub import READ_ONLY, TOKEN, FakeHub, Repository
from nuclex.bundle import Record, write_bundle
from nuclex.cli.main import run
from nuclex.core.config import load_config
from nuclex.core.errors import CorruptError, InputError, OutsideError
from nuclex.hub.publish import PublishConfig, publish
from nuclex.models import LanguageModel, RobertaConfig
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.finetune import FinetuneConfig

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's own, with git-lfs
NAME = "lab/tiny"
RECORD = Record(
    recipe={"corpus": "/vault/anna/secret-project/corpus", "seed": 3},
    provenance={"command": ["nuclex", "pretrain", "/vault/anna/r.toml", "--out=/vault/anna/run"]},
    metrics={"validation_loss": 1.25},
    corpus={"sources": [{"name": "families", "terms": "open", "licence": "CC0"}], "simulated": True},
    name="tiny",
    licence="cc-by-4.0",
    notes=("Imported from /vault/anna/old.pt.",),
)
MISSING = {"name": "silva", "terms": "academic", "licence": "free for academic use"}


@pytest.fixture
def hub(monkeypatch, tmp_path, silent):
    made = FakeHub()
    for name in ("HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    settings = {"HF_ENDPOINT": made.address, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1", "HF_HOME": tmp_path / "hf"}
    for name, value in {**settings, "NUCLEX_CACHE": tmp_path / "cache"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # read when it is imported
    monkeypatch.chdir(tmp_path)
    yield made
    made.close()


@pytest.fixture
def bundle(tmp_path):
    return written(tmp_path / "bundle", RECORD)


def written(folder, record, seed=0, head="dense"):
    tokenizer = NucleotideConfig().build()
    backbone = RobertaConfig(depth=1, width=16, heads=4, inner=24, max_positions=50).backbone()
    backbone = backbone.model_copy(update={"head": head})
    ids = {"pad_id": tokenizer.pad_id, "mask_id": tokenizer.mask_id}
    model = LanguageModel(backbone, vocabulary_size=len(tokenizer), **ids)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) / math.sqrt(value.shape[-1]))
    write_bundle(folder, model.eval(), tokenizer, record)
    return folder


def test_what_was_published_is_opened_again_bit_for_bit(hub, bundle):
    told = publish(bundle, NAME)
    files = hub.repositories[NAME].commits[told["commit"]]
    same = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert files.keys() == same | {"README.md", "nuclex.json", "manifest.json", ".gitattributes"}
    assert all(files[name] == (bundle / name).read_bytes() for name in same)
    assert told["url"] == f"{hub.address}/{NAME}/commit/{told['commit']}"
    opened, first = nuclex.load(NAME), nuclex.load(bundle)
    assert opened.source == f"{NAME}@{told['commit']}"
    assert all(torch.equal(value, first.model.state_dict()[key]) for key, value in opened.model.state_dict().items())
    assert all((opened.path / name).read_bytes() == content for name, content in files.items() if name[0] != ".")
    assert {entry["file"]: entry["bytes"] for entry in told["files"]} == {
        name: len(content) for name, content in files.items() if name[0] != "."
    }
    assert hub.repositories[NAME].messages[-1] == "A bundle of nuclex"


def test_the_card_has_the_new_address_and_no_path_of_this_machine_leaves(hub, bundle):
    commit = publish(bundle, NAME)["commit"]
    files = hub.repositories[NAME].commits[commit]
    card, record = files["README.md"].decode(), files["nuclex.json"].decode()
    assert f'nuclex.load("{NAME}")' in card
    assert f'from_pretrained("{NAME}")' in card
    assert "anna" not in card + record
    assert json.loads(record)["provenance"]["command"] == ["nuclex", "pretrain", "r.toml", "--out=run"]
    assert "/vault/anna" in (bundle / "nuclex.json").read_text(), "the bundle here stays as it was"


def test_the_hubs_own_validation_takes_the_card_and_refuses_a_spoilt_one(hub, bundle, monkeypatch):
    from huggingface_hub import ModelCard

    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
    card = ModelCard((bundle / "README.md").read_text(), ignore_metadata_errors=False)
    card.validate()
    assert card.data.eval_results[0].metric_value == 1.25
    card.data.license = ["no", "text"]
    with pytest.raises(ValueError, match="license"):
        card.validate()
    assert hub.paths("POST").count("/api/validate-yaml") == 2


def test_a_second_commit_moves_the_branch_and_a_pinned_one_stays(hub, bundle, tmp_path):
    first = publish(bundle, NAME)["commit"]
    other = written(tmp_path / "other", dataclasses.replace(RECORD, name="other"), seed=1)
    second = publish(other, NAME, PublishConfig(message="better"))["commit"]
    assert nuclex.load(NAME).source == f"{NAME}@{second}" != f"{NAME}@{first}"
    assert nuclex.load(f"{NAME}@{first}").record.name == "tiny"
    assert hub.repositories[NAME].messages[-1] == "better"


def test_a_branch_is_made_and_main_left_alone(hub, bundle):
    commit = publish(bundle, NAME, PublishConfig(revision="try"))["commit"]
    assert hub.repositories[NAME].branches["try"] == commit != hub.repositories[NAME].branches["main"]
    assert nuclex.load(f"{NAME}@try").source == f"{NAME}@{commit}"


def test_private_is_private_and_never_an_existing_public_one(hub, bundle, monkeypatch):
    publish(bundle, NAME, private=True)
    assert hub.repositories[NAME].private
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match="shows no such model"):
        nuclex.load(NAME)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.repositories["lab/open"] = Repository()
    before = hub.repositories["lab/open"].commit("main", {}, "public")
    with pytest.raises(InputError, match="is there already and public; nothing was uploaded"):
        publish(bundle, "lab/open", private=True)
    assert hub.repositories["lab/open"].branches["main"] == before


def test_a_dry_run_says_all_and_sends_nothing(hub, bundle, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    told = publish(bundle, NAME, PublishConfig(dry_run=True), space=True, out=tmp_path / "out")
    assert hub.asked == []
    assert [entry["file"] for entry in told["space_files"]] == ["README.md", "app.py", "requirements.txt"]
    for entry in told["files"]:
        assert (tmp_path / "out/bundle" / entry["file"]).stat().st_size == entry["bytes"]
    nuclex.load(tmp_path / "out/bundle")
    with pytest.raises(InputError, match="out: exists already"):
        publish(bundle, NAME, PublishConfig(dry_run=True), out=tmp_path / "out")


def test_a_space_runs_the_commit_that_was_just_made(hub, bundle):
    told = publish(bundle, NAME, space=True)
    space = hub.repositories[f"spaces/{NAME}"]
    files = space.commits[space.branches["main"]]
    assert f"page('{NAME}@{told['commit']}')" in files["app.py"].decode()
    assert files["requirements.txt"].decode() == f"nuclex[hub]=={nuclex.__version__}\n"
    head = files["README.md"].decode().split("---")[1]
    assert "sdk: gradio\n" in head
    assert "app_file: app.py\n" in head
    assert "license: cc-by-4.0\n" in head
    assert told["space_url"].startswith(f"{hub.address}/spaces/{NAME}/commit/")


def test_a_damaged_bundle_does_not_leave(hub, bundle):
    weights = bundle / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CorruptError, match="sha256 differs"):
        publish(bundle, NAME)
    assert hub.asked == []


def test_a_licence_may_not_promise_more_than_the_data(hub, tmp_path):
    academic = dataclasses.replace(RECORD, corpus={"sources": [MISSING]}, licence=None)
    folder = written(tmp_path / "academic", academic)
    with pytest.raises(InputError, match="mit promises more than the data"):
        publish(folder, NAME, PublishConfig(licence="mit"))
    assert hub.asked == []
    commit = publish(folder, NAME)["commit"]
    card = hub.repositories[NAME].commits[commit]["README.md"].decode()
    assert "license: other\nlicense_name: academic-use-only\n" in card
    publish(folder, NAME, PublishConfig(licence="cc-by-nc-4.0"))


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "lab/", "../lab", "lab/na me", "-x/y"])
def test_a_name_that_cannot_be_is_refused(hub, bundle, name):
    with pytest.raises(InputError, match="a name on the hub is needed"):
        publish(bundle, name)


def test_what_is_fine_tuned_from_the_hub_says_from_which_commit(hub, bundle, tmp_path):
    commit = publish(bundle, NAME)["commit"]
    (tmp_path / "all.fa").write_text(
        "".join(f">s{n} {'ab'[n % 2]}\n{'ACGT'[n % 4] * 5}{'TGA' * (n + 2)}\n" for n in range(8))
    )
    keys = {
        "bundle": NAME,
        "task": {"kind": "fasta-class", "train": str(tmp_path / "all.fa")},
        "head": {"kind": "class", "pooling": "mean", "hidden": 4},
        "training": {"steps": 1, "evaluate_every": 1, "checkpoint_every": 1},
        "controls": [],
    }
    nuclex.finetune(load_config(FinetuneConfig, None, keys), tmp_path / "run")
    tuned = nuclex.load(tmp_path / "run/bundle")
    assert tuned.record.finetuned["base"] == f"{NAME}@{commit}"
    assert f"base_model: {NAME}\nbase_model_relation: finetune\n" in (tuned.path / "README.md").read_text()
    assert json.loads((tmp_path / "run/config.json").read_text())["bundle"] == NAME


def test_a_space_for_what_has_no_page_is_refused_before_anything_leaves(hub, tmp_path):
    folder = written(tmp_path / "encoder", RECORD, head="none")
    with pytest.raises(InputError, match="encoder without a head"):
        publish(folder, NAME, space=True)
    assert hub.asked == []


# ---- failures: one sentence, and never the token ----


def test_without_a_token_it_is_said_how_to_get_one(hub, bundle, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match=r"needs a token that may write: `hf auth login`, or the variable HF_TOKEN"):
        publish(bundle, NAME)


@pytest.mark.parametrize(("token", "status"), [(READ_ONLY, 403), ("hf_UnknownSecret0123456789abcdef", 401)])
def test_a_token_that_may_not_write_is_told_what_to_do(hub, bundle, monkeypatch, token, status):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(OutsideError, match=rf"refuses with {status}.*may write to lab.*`hf auth login`") as caught:
        publish(bundle, NAME)
    assert token not in str(caught.value)


def test_a_hub_that_is_not_there_is_an_outside_error(hub, bundle, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OutsideError, match=r"the upload to http://127\.0\.0\.1:9 failed: ConnectError"):
        publish(bundle, NAME)


def test_an_error_of_the_hub_that_quotes_the_token_is_cleaned(hub, bundle, monkeypatch):
    monkeypatch.setattr(fakehub, "ROUTES", (("POST", "/api/repos/create", echo), *fakehub.ROUTES))
    with pytest.raises(OutsideError, match=r"answered 418 \(.*\*\*\*") as caught:
        publish(bundle, NAME)
    assert "hf_" not in str(caught.value)


def echo(handler):
    handler._say(418, {"error": f"you sent {handler.headers['Authorization']}"})


def test_the_command_line_says_commit_and_address(hub, bundle, capsys):
    assert run(["publish", str(bundle), NAME, "--message", "first", "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (told["repository"], told["revision"], told["licence"]) == (NAME, "main", "cc-by-4.0")
    assert told["url"].endswith(told["commit"])
    assert hub.repositories[NAME].messages[-1] == "first"
    assert TOKEN not in out + err


@pytest.mark.slow
@pytest.mark.parametrize("case", ["done", "refused", "unreachable", "broken"])
def test_the_token_is_in_no_output_even_with_debug(hub, bundle, case):
    """In a process of its own, with every log that Hugging Face's client can write."""
    environment = {**os.environ, "HF_DEBUG": "1", "HF_HUB_VERBOSITY": "debug", "OMP_NUM_THREADS": "1"}
    token = READ_ONLY if case == "refused" else TOKEN
    environment["HF_TOKEN"] = token
    if case == "unreachable":
        environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    if case == "broken":
        hub.broken = 418
    words = [sys.executable, "-m", "nuclex", "publish", str(bundle), NAME, "--debug"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert done.returncode == (0 if case == "done" else 3), done.stderr
    assert token not in done.stdout + done.stderr
    assert token[3:] not in done.stdout + done.stderr
    assert token not in "".join(path.read_text(errors="replace") for path in Path().rglob("*") if path.is_file())
