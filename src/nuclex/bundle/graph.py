"""An encoder as an ONNX graph, which onnxruntime computes without torch and without nuclex."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from nuclex.bundle.fingerprint import probes
from nuclex.core.errors import OutsideError, missing_extra
from nuclex.models.backbone import LanguageModel
from nuclex.models.layout import Layout
from nuclex.models.padded import PaddedEncoder
from nuclex.tokenizers.base import Tokenizer

GRAPH_FILE = "model.onnx"
INPUTS, OUTPUTS = ("input_ids", "attention_mask"), ("hidden", "logits")
TOLERANCE = 1e-4
"""What onnxruntime may differ by from nuclex, as a share of the largest number (at least of 1)."""


def write_graph(folder: Path, model: LanguageModel, tokenizer: Tokenizer) -> float:
    """Write ``model.onnx`` (with its weights beside it where they are large), and prove it with onnxruntime.

    Its inputs are ``input_ids`` and ``attention_mask``, int64 (B, L) for any B and L with the padding behind; its
    outputs are ``hidden`` (B, L, D) and, with a language head, ``logits`` (B, L, V), 0 at padding. Returns the largest
    difference from nuclex on sequences of unequal length. OutsideError where it is above ``TOLERANCE``; InputError for
    networks that ``PaddedEncoder`` refuses, and without the packages of the extra ``export``.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise missing_extra(package, "export", "format onnx")
    encoder, room = PaddedEncoder(model), model.config.longest
    batch = torch.export.Dim("batch")
    length = torch.export.Dim("length", min=2) if room is None else torch.export.Dim("length", min=2, max=room)
    example = torch.full((2, min(room or 8, 8)), tokenizer.unk_id)
    with _quietly(), torch.no_grad():
        program = torch.onnx.export(
            encoder,
            (example, torch.ones_like(example)),
            dynamo=True,
            input_names=INPUTS,
            output_names=OUTPUTS if model.head is not None else OUTPUTS[:1],
            dynamic_shapes={name: {0: batch, 1: length} for name in INPUTS},
            verbose=False,
        )
        assert program is not None
        program.save(folder / GRAPH_FILE)
    difference = _largest_difference(folder / GRAPH_FILE, model, probes(model, tokenizer))
    if not difference <= TOLERANCE:
        raise OutsideError(f"onnx: onnxruntime computes other numbers than nuclex, by {difference:.2g}; not written")
    return difference


def _largest_difference(path: Path, model: LanguageModel, sequences: Sequence[Tensor]) -> float:
    """Between onnxruntime on one padded batch and nuclex on a packed one, as a share of the largest number."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    ids_BL = torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True, padding_value=model.pad_id)
    layout = Layout.of([len(tokens) for tokens in sequences])
    read_BL = torch.arange(ids_BL.shape[1]) < layout.boundaries_N1.diff()[:, None]
    found = session.run(None, dict(zip(INPUTS, (ids_BL.numpy(), read_BL.long().numpy()), strict=True)))
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        hidden_TD = model.encode(torch.cat(list(sequences)), layout)
        wanted = [hidden_TD] if model.head is None else [hidden_TD, model.scores(hidden_TD)]
    differences = [
        (torch.from_numpy(theirs_BLX)[read_BL] - ours_TX).abs().max() / ours_TX.abs().max().clamp(min=1)
        for theirs_BLX, ours_TX in zip(found, wanted, strict=True)
    ]
    return float(torch.stack(differences).max())


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the remarks of torch's exporter about itself."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)
