"""An encoder as an ONNX graph computes in onnxruntime what nuclex computes, for any number and length of sequences."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from nuclex.bundle import graph
from nuclex.core.errors import InputError, OutsideError
from nuclex.models import Layout

pytestmark = pytest.mark.slow  # torch's exporter takes many seconds


@pytest.fixture(scope="module")
def onnxruntime():
    return pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("name", ["rinalmo", "headless bert"])
def test_onnxruntime_gives_nuclexs_numbers_at_every_size(making, onnxruntime, capfd, name):
    model, tokenizer = making.model(name).eval(), making.tokenizer()
    assert graph.write_graph(making.folder, model, tokenizer) <= graph.TOLERANCE
    assert capfd.readouterr() == ("", "")
    session = onnxruntime.InferenceSession(making.folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["input_ids", "attention_mask"]
    assert [value.name for value in session.get_outputs()] == ["hidden", "logits"][: 1 + (model.head is not None)]
    for sequences in (["ACGU"], ["GATTACA" * 5, "", "A<mask>C", "NNN"], ["AC"] * 7):
        ids = [torch.from_numpy(tokenizer.encode(text.replace("<mask>", "-"))) for text in sequences]
        ids = [torch.where(tokens == 21, tokenizer.mask_id, tokens) for tokens in ids]
        ids_BL = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=1)
        mask_BL = (torch.arange(ids_BL.shape[1]) < torch.tensor([len(tokens) for tokens in ids])[:, None]).long()
        hidden_BLD = session.run(None, {"input_ids": ids_BL.numpy(), "attention_mask": mask_BL.numpy()})[0]
        with torch.no_grad():
            ours_TD = model.encode(torch.cat(ids), Layout.of([len(tokens) for tokens in ids])).numpy()
        np.testing.assert_allclose(hidden_BLD[mask_BL.bool().numpy()], ours_TD, rtol=0, atol=1e-5)


def test_a_graph_that_computes_something_else_is_not_written(making, onnxruntime, monkeypatch):
    model, tokenizer = making.model("bert").eval(), making.tokenizer()
    encode = type(model).encode
    monkeypatch.setattr(type(model), "encode", lambda self, *given, **named: encode(self, *given, **named) + 1e-2)
    with pytest.raises(OutsideError, match=r"computes other numbers than nuclex, by 0\.0"):
        graph.write_graph(making.folder, model, tokenizer)


@pytest.mark.parametrize("name", ["gpt2", "bimamba", "hybrid"])
def test_what_is_no_encoder_of_attention_is_refused(making, name):
    with pytest.raises(InputError, match=r"left to right|its layers are mamba"):
        graph.write_graph(making.folder, making.model(name), making.tokenizer())
    assert list(making.folder.iterdir()) == []


def test_without_the_extra_it_says_what_to_install(making):
    code = (
        "import sys, importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'onnxscript' else found(name, *a)\n"
        "from nuclex.bundle.graph import write_graph\nwrite_graph(None, None, None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stderr.splitlines()[-1].endswith("pip install 'nuclex[export]'")
