"""How far nuclex is from independent implementations with the same weights: one row a reference, values and gradients.

    python benchmarks/parity.py [--out benchmarks/results/parity.json]

Needs the development extras; rows of multimolecule (AGPL, ``nuclex[oracle]``) are left out, and said to be, where it is
not installed. Whole networks: random weights, all of which matter; eight sequences of 1 to 30 tokens with masks among
them, one packed batch of nuclex against one padded batch of the other; gradients are those of a random sum of all
outputs by every weight. float32 on a CPU, one thread, where nothing else is said. A number is the largest absolute
difference divided by the largest number of its tensor, or by 1 where that is smaller.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "models"), str(TESTS / "models" / "blocks")]

import test_backbone as backbones  # noqa: E402
import test_hyena as hyena  # noqa: E402
import test_long_convolution as convolutions  # noqa: E402
import test_scan as scans  # noqa: E402
import test_state_space_dual as dual  # noqa: E402

import nuclex  # noqa: E402
import oracles  # noqa: E402
from nuclex import hub  # noqa: E402
from nuclex.bundle import Record, write_bundle  # noqa: E402
from nuclex.bundle.graph import write_graph  # noqa: E402
from nuclex.core.progress import quiet  # noqa: E402
from nuclex.core.provenance import package_versions  # noqa: E402
from nuclex.models import Layout  # noqa: E402
from nuclex.models.blocks.long_convolution import long_convolution  # noqa: E402
from nuclex.tokenizers import NucleotideConfig  # noqa: E402
from nuclex.training.supervised import answering_model  # noqa: E402
from oracles import HEADLESS, PRESETS, RINALMOS, Compared, config_of, difference, made  # noqa: E402


def networks() -> Iterator[Compared]:
    """Whole networks of transformers, both ways; RiNALMo written down once more in float64."""
    for name in [*PRESETS, *(f"{name}, encoder alone" for name in HEADLESS)]:
        for direction in ("export", "import"):
            yield oracles.against_transformers(name, direction)
    model = backbones.made(backbones.CONFIGS["rinalmo"])
    sequences = [ids for ids in backbones.sentences() if bool((ids != backbones.MASK).any())]
    found_TV = model(torch.cat(sequences), Layout.of([len(ids) for ids in sequences]))
    wanted_TV = torch.cat(backbones.reference_rinalmo(model, sequences))
    yield _row("a padded RiNALMo, spelled out", "RiNALMo, float32 against float64", [found_TV], [wanted_TV], None)


def multimolecule(folder: Path) -> Iterator[Compared]:
    """Their RiNALMo with copied weights, masks included, both ways, and with their head for structures."""
    for number, name in enumerate(RINALMOS):
        place = folder / str(number)
        foreign = oracles.random_multimolecule(name, place / "theirs")
        yield oracles.against_multimolecule(
            f"{name}, import", hub.import_bundle(place / "theirs", place / "ours").model, foreign
        )
    model, name = made(next(iter(RINALMOS))), next(iter(RINALMOS))
    write_bundle(folder / "b", model, NucleotideConfig().build(), Record({}, {}, {}, None, "x"))
    nuclex.export(folder / "b", format="multimolecule", out=folder / "out")
    cls = oracles.multimolecule().RiNALMoForMaskedLM
    foreign = cls.from_pretrained(folder / "out", trust_remote_code=False).eval()
    yield oracles.against_multimolecule(f"{name}, export", model, foreign)
    foreign = oracles.random_multimolecule(name, folder / "pairs", pairs=True)
    bundle = hub.import_bundle(folder / "pairs", folder / "ours")
    yield oracles.pairs_against_multimolecule(name, answering_model(bundle), foreign)


def graphs(folder: Path) -> Iterator[Compared]:
    """ONNX graphs through onnxruntime, values alone."""
    for number, name in enumerate(("RoBERTa", "BERT, encoder alone", next(iter(RINALMOS)))):
        place = folder / str(number)
        place.mkdir(parents=True)
        config = config_of(name)
        room = {"max_positions": 514} if config.positions == "learned" else {}
        model = oracles.randomised(
            nuclex.models.LanguageModel(config.model_copy(update=room), vocabulary_size=22, pad_id=1, mask_id=4)
        ).eval()
        found = write_graph(place, model, NucleotideConfig().build())
        yield Compared("onnxruntime", f"{name}, padded batch", found, None, 1.0, 1 + (model.head is not None))


def blocks() -> Iterator[Compared]:
    """Mixers against their definitions, one token after the other, in float64."""
    lengths, channels, size, delta = scans.CASES["unequal lengths"]
    layout = Layout.of(lengths)
    parts = scans.drawn(layout, channels, size, delta=delta)
    exact = [part.double() for part in parts]
    wanted = scans.results(scans.sequential, exact, layout)
    reference = "the recurrence, token by token, float64"
    for what, run, given in (
        ("selective scan, torch, float64", scans.chunked_scan, exact),
        ("selective scan, torch, float32", scans.chunked_scan, parts),
        ("selective scan, numba, float32", scans.compiled_scan, parts),
    ):
        yield _row(reference, what, *_split(scans.results(run, given, layout), wanted, 2))
    parts = dual.drawn(dual.LAYOUT, 6, 2)
    exact = [part.double() for part in parts]
    wanted = dual.results(exact, dual.LAYOUT, None)
    yield _row(reference, "Mamba-2's scan, float64", *_split(dual.results(exact, dual.LAYOUT, 16), wanted, 2))
    yield _row(reference, "Mamba-2's scan, float32", *_split(dual.results(parts, dual.LAYOUT, 16), wanted, 2))

    layout = Layout.of(convolutions.LENGTHS)
    leaves = [convolutions.drawn(layout.tokens, convolutions.WIDTH), convolutions.drawn(48, convolutions.WIDTH, seed=1)]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    found = long_convolution(*leaves, layout)
    wanted_TD = convolutions.direct(*leaves, convolutions.LENGTHS)
    upstream = convolutions.drawn(*found.shape, seed=3)
    ours, theirs = (list(torch.autograd.grad(result, leaves, upstream)) for result in (found, wanted_TD))
    yield _row(
        "direct convolution, float64", "Hyena's by Fourier transform, float64", [found], [wanted_TD], (ours, theirs)
    )
    for causal in (True, False):
        layer, hidden = hyena.made(causal=causal), hyena.drawn()
        with torch.no_grad():
            wanted_TD = torch.cat([hyena.written_down(layer, part) for part in hidden.split(hyena.LENGTHS)])
            what = f"Hyena layer, {'causal' if causal else 'both ways'}, float64"
            yield _row("its definition, spelled out", what, [layer(hidden, hyena.LAYOUT)], [wanted_TD], None)


def _split(
    found: list[Tensor], wanted: list[Tensor], values: int
) -> tuple[list[Tensor], list[Tensor], tuple[list[Tensor], list[Tensor]]]:
    return found[:values], wanted[:values], (found[values:], wanted[values:])


def _row(
    reference: str,
    what: str,
    found: Sequence[Tensor],
    wanted: Sequence[Tensor],
    gradients: tuple[Sequence[Tensor], Sequence[Tensor]] | None,
) -> Compared:
    def largest(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
        return difference(
            {str(number): value.double() for number, value in enumerate(one)},
            {str(number): value.double() for number, value in enumerate(other)},
        )

    size = max(float(value.detach().abs().max()) for value in wanted)
    by = None if gradients is None else largest(*gradients)
    return Compared(reference, what, largest(found, wanted), by, size, len(wanted))


def show(rows: Sequence[Compared]) -> None:
    """The table, as Markdown."""
    print("| reference | compared | values | gradients |\n|---|---|---|---|")
    for row in rows:
        gradients = "–" if row.gradients is None else f"{row.gradients:.1e}"
        print(f"| {row.reference} | {row.what} | {row.values:.1e} | {gradients} |")


def main() -> None:
    """Compare all, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/parity.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name, quiet():
        folder = Path(name)
        rows = [*networks(), *blocks(), *graphs(folder / "onnx")]
        try:
            rows += multimolecule(folder / "multimolecule")
        except ModuleNotFoundError as error:
            print(f"left out: {error}; pip install 'nuclex[oracle]'", file=sys.stderr)
    show(rows)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    table = {"packages": package_versions(), "rows": [asdict(row) for row in rows]}
    arguments.out.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
