"""From sequences to structures on disk: text files, and pictures of every RNA."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nuclex.bundle import Bundle, load
from nuclex.core.artifact import atomic_file, atomic_folder
from nuclex.core.errors import InputError, missing_extra
from nuclex.core.progress import counted, say
from nuclex.inference.fold import ENDINGS, FoldConfig, Folded, folded
from nuclex.inference.reading import how_many
from nuclex.training.device import within_memory

Keep = Callable[[int, Folded], None]


def fold(
    bundle: Bundle | str | Path,
    inputs: str | Path,
    out: str | Path,
    *,
    svg: str | Path | None = None,
    settings: FoldConfig | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Write the secondary structure of every sequence of a file (any format that is read), by a fine-tuned model.

    ``out`` with the ending .dbn, .ct or .json takes all structures, in their order; .bpseq holds only one. Without an
    ending it is a folder with all four files of each, ``0001-NAME.dbn`` and so on. ``svg`` is a folder for three
    pictures of each: in the plane, as arcs, and the probabilities of all pairs. What is written is whole or not there.
    InputError for another ending, a bundle without a head for pairs, or a sequence that the model cannot read.
    """
    target, pictures = Path(out), None if svg is None else Path(svg)
    config = settings or FoldConfig()
    _check_places(target, pictures)
    opened = bundle if isinstance(bundle, Bundle) else load(bundle, device=device)
    found = counted("folding", folded(opened, inputs, config), how_many(inputs))
    count, pairs, total = 0, 0, 0.0
    with contextlib.ExitStack() as stack, within_memory():
        keeps = [stack.enter_context(_text(target, config.cut))]
        if pictures is not None:
            keeps.append(stack.enter_context(_pictures(pictures, config.cut)))
        for count, rna in enumerate(found, start=1):
            try:
                for keep in keeps:
                    keep(count, rna)
            except InputError as error:
                raise InputError(f"{inputs}: {error}") from None
            pairs, total = pairs + len(rna.pairs), total + float(rna.probability_P.sum())
    say(f"{target}: {count} sequences")
    told: dict[str, Any] = {"out": str(target), "sequences": count, "pairs": pairs}
    told["mean_pair_probability"] = total / pairs if pairs else None
    return told if pictures is None else {**told, "svg": str(pictures)}


def _check_places(target: Path, pictures: Path | None) -> None:
    """InputError where files would not know how to be written, or one folder would lie in the other."""
    if target.suffix and target.suffix not in ENDINGS:
        allowed = ", ".join(ENDINGS)
        raise InputError(f"{target}: structures are written to {allowed}, or to a folder, whose name has no ending")
    if pictures is None:
        return
    one, other = target.resolve(), pictures.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise InputError(f"{pictures}: pictures go to a folder of their own, not where {target} is")
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        raise missing_extra("matplotlib", "plots", "drawing structures") from None


@contextlib.contextmanager
def _text(target: Path, cut: float) -> Iterator[Keep]:
    """What writes one structure after the other: to a file, or to files in a folder."""
    ending = target.suffix
    if not ending:
        with atomic_folder(target) as folder:

            def into_folder(number: int, rna: Folded) -> None:
                for each in ENDINGS:
                    path = folder / f"{file_name(number, rna.id)}{each}"
                    path.write_text(rna.text(each, cut), encoding="utf-8", newline="\n")

            yield into_folder
        return
    with atomic_file(target) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as handle:

        def into_file(number: int, rna: Folded) -> None:
            if ending == ".bpseq" and number > 1:
                raise InputError(f"{target}: a .bpseq file holds one structure; give a folder for more, or .dbn")
            if ending == ".json":
                handle.write("[\n" if number == 1 else ",\n")
                handle.write(rna.text(ending, cut).rstrip("\n"))
            else:
                handle.write(rna.text(ending, cut))

        yield into_file
        if ending == ".json":
            handle.write("\n]\n" if handle.tell() else "[]\n")


@contextlib.contextmanager
def _pictures(target: Path, cut: float) -> Iterator[Keep]:
    from nuclex.evaluation.arcs import probability_arcs
    from nuclex.evaluation.dot_plot import dot_plot
    from nuclex.evaluation.planar import planar_drawing
    from nuclex.evaluation.svg import inline

    with atomic_folder(target) as folder:

        def draw(number: int, rna: Folded) -> None:
            shown = (rna.sequence, rna.pairs, rna.probability_LL, rna.id)
            for figure in (planar_drawing(*shown), probability_arcs(*shown), dot_plot(*shown, cut)):
                path = folder / f"{file_name(number, rna.id)}-{figure.name}.svg"
                path.write_text(inline(figure.svg, figure.name, f"{rna.id}: {figure.alt}") + "\n", encoding="utf-8")

        yield draw


def file_name(number: int, name: str) -> str:
    """A name for the files of a sequence: safe on every system, and no two alike.

    >>> file_name(3, "gi|77/../x y")
    '0003-gi_77_.._x_y'
    """
    return f"{number:04d}-{re.sub('[^A-Za-z0-9._-]', '_', name)[:80]}"
