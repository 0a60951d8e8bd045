"""What a Space shows: probabilities that sum to one, a sequence gone on with, the answer of ``nuclex predict``."""

import csv
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra hub")

from nuclex.bundle import Record, TaskPart, load, write_bundle
from nuclex.core.errors import InputError
from nuclex.hub import demonstration
from nuclex.hub.demonstration import LONGEST, answer, continuation, kind_of, masked_table
from nuclex.inference.generate import GenerateConfig, generate_sequences
from nuclex.inference.predict import predict
from nuclex.inference.score import score_sequences
from nuclex.models import Gpt2Config, LanguageModel, RinalmoConfig
from nuclex.models.heads import ClassHeadConfig, PairHeadConfig
from nuclex.tokenizers import TOKENIZERS
from nuclex.training.pairs import DecodingConfig

RINALMO = RinalmoConfig(depth=1, width=16, heads=2).backbone()
GPT2 = Gpt2Config(depth=1, width=16, heads=2, inner=24, max_positions=64).backbone()
SEQUENCE = "GGGAAACCCAUAGG"


def opened(folder, network=RINALMO, kind="nucleotide", head=None, task=None):
    tokenizer = TOKENIZERS.parse({"kind": kind, **({"frame": 0} if kind == "codon" else {})}).build()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ids = {"pad_id": tokenizer.pad_id, "mask_id": tokenizer.mask_id}
        model = LanguageModel(network, vocabulary_size=len(tokenizer), **ids)
        built = None if head is None else head.build(network.width, max(len(task["classes"]), 1))
    part = None if built is None else TaskPart({**task, "head": head.to_data(), "digest": None}, built.state_dict())
    write_bundle(folder / "bundle", model, tokenizer, Record({}, {}, {}, None, "tiny"), task=part)
    return load(folder / "bundle")


def test_a_hidden_letter_has_the_probability_that_scores_say(tmp_path):
    bundle = opened(tmp_path)
    columns, rows = masked_table(bundle, f">x y\n{SEQUENCE[:7]} {SEQUENCE[7:]}\n")
    assert columns == ["position", "token", "probability", "likeliest"]
    assert [row[0] for row in rows] == list(range(1, len(SEQUENCE) + 1))
    assert "".join(row[1] for row in rows).replace("T", "U") == SEQUENCE
    (whole,) = score_sequences(bundle, [("x", SEQUENCE.encode())], method="exact")
    over_all = math.exp(whole.log_likelihood / len(SEQUENCE))
    among_letters = math.exp(np.mean([math.log(row[2]) for row in rows]))
    assert 0 < over_all < among_letters < 1, "the table leaves the special tokens out"


def test_the_five_likeliest_are_in_their_order(tmp_path):
    _, rows = masked_table(opened(tmp_path), SEQUENCE)
    for row in rows:
        shares = [float(part.split()[1]) for part in row[3].split(", ")]
        assert shares == sorted(shares, reverse=True)
        assert len(shares) == 5
        assert sum(shares) <= 1.03


def test_a_long_sequence_is_read_in_parts_that_change_nothing(tmp_path, monkeypatch):
    bundle = opened(tmp_path)
    whole = masked_table(bundle, SEQUENCE)
    monkeypatch.setattr(demonstration, "AT_ONCE", 40)
    assert masked_table(bundle, SEQUENCE) == whole


def test_codons_are_hidden_as_codons(tmp_path):
    _, rows = masked_table(opened(tmp_path, kind="codon"), "ATGAAATTTTAA")
    assert len(rows) == 4
    assert len(rows[0][3].split()[0]) == 3


def test_a_causal_model_goes_on(tmp_path):
    bundle = opened(tmp_path, GPT2)
    assert kind_of(bundle) == "continuation"
    header, letters = continuation(bundle, "ACG", 1.0, 3).splitlines()
    (made,) = generate_sequences(bundle, GenerateConfig(prompt="ACG", seed=3))
    assert letters == made.sequence
    assert letters.startswith("ACG")
    assert f"{made.tokens} tokens drawn" in header


def test_a_fine_tuned_answer_is_that_of_predict(tmp_path):
    task = {"name": "kinds", "shape": "class", "classes": ["a", "b"], "settings": {}}
    bundle = opened(tmp_path, head=ClassHeadConfig(hidden=8), task=task)
    assert kind_of(bundle) == "answer"
    columns, rows = answer(bundle, SEQUENCE)
    (tmp_path / "x.fa").write_text(f">sequence\n{SEQUENCE}\n")
    predict(bundle, tmp_path / "x.fa", tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        assert [columns, *rows] == list(csv.reader(file))
    assert columns[:2] == ["id", "class"]


def test_a_structure_is_dots_and_brackets(tmp_path):
    settings = {"threshold": 0.5, "decoding": DecodingConfig().to_data()}
    task = {"name": "structure", "shape": "pair map", "classes": [], "settings": settings}
    bundle = opened(tmp_path, head=PairHeadConfig(channels=4, blocks=1), task=task)
    columns, ((letters, structure, pairs),) = answer(bundle, SEQUENCE)
    assert columns == ["sequence", "structure", "pairs"]
    assert len(letters) == len(structure) == len(SEQUENCE)
    assert set(structure) <= set("().[]{}<>")
    assert structure.count("(") <= pairs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (">only a header\n", "is empty"),
        ("A" * (LONGEST + 1), "at most 1000"),
        ("ÄCGT", "takes ASCII"),
    ],
)
def test_what_cannot_be_shown_is_a_sentence(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        masked_table(opened(tmp_path), text)


def test_an_encoder_without_a_head_has_no_page(tmp_path):
    with pytest.raises(InputError, match="encoder without a head"):
        kind_of(opened(tmp_path, RINALMO.model_copy(update={"head": "none"})))


def test_without_gradio_the_page_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match="needs the package 'gradio'"):
        demonstration.page(tmp_path)


@pytest.mark.slow
def test_the_page_is_built(tmp_path):
    """In a process of its own, since gradio leaves sockets and event loops open."""
    pytest.importorskip("gradio", reason="gradio is not installed; a Space brings it")
    path = opened(tmp_path).path
    code = "import sys; from nuclex.hub.demonstration import page; print(type(page(sys.argv[1])).__name__)"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout.strip()) == (0, "Blocks"), done.stderr
