"""Structures by energy alone: what ViennaRNA predicts, as the baseline that a learned model has to beat.

Turner's nearest-neighbour parameters (2004) at 37 °C, as ViennaRNA has them (doi:10.1186/1748-7188-6-26). Needs the
package ViennaRNA (``nuclex[fold]``), whose licence asks for credit and forbids redistribution for a fee.
Its structures are nested: pseudoknots are out of its reach.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from nuclex.bio.alphabet import to_rna
from nuclex.bio.secondary_structure import Pairs, parse_dot_bracket
from nuclex.core.errors import InputError, missing_extra
from nuclex.tasks import Shape, Task
from nuclex.training.pairs import measured_pairs
from nuclex.training.supervised import Measured

Method = Literal["mfe", "mea"]
METHODS: tuple[Method, ...] = get_args(Method)


def thermodynamic_pairs(sequence: str, method: Method = "mfe", *, gamma: float = 1.0) -> Pairs:
    """The base pairs (P, 2) of a sequence by energy: the structure of least free energy, or of most expected accuracy.

    ``mfe``: minimum free energy. ``mea``: maximum expected accuracy of the pair probabilities of the ensemble, a pair
    weighing 2 ``gamma`` against 1 of an unpaired nucleotide (see ``nuclex.bio.folding.mea_pairs``). Lower case and T
    are read as upper case and U; other letters than A, C, G, U pair with nothing. InputError without the package, for
    an empty sequence, another method and a ``gamma`` that is not above 0.
    """
    package = _package()
    if method not in METHODS:
        raise InputError(f"method: found {method!r}; allowed: {', '.join(METHODS)}")
    if not gamma > 0:
        raise InputError(f"gamma: found {gamma}; a number above 0 is needed")
    if not sequence:
        raise InputError("folding by energy: the sequence is empty")
    compound = package.fold_compound(to_rna(sequence.upper()))
    structure, energy = compound.mfe()
    if method == "mea":
        compound.exp_params_rescale(energy)
        compound.pf()
        structure, _ = compound.MEA(gamma)
    return parse_dot_bracket(structure)


def thermodynamic_baseline(task: Task, *, gamma: float = 1.0) -> dict[Method, Measured]:
    """Fold the test split of a structure task by energy, and score it as a model is scored: method → ``Measured``.

    Nothing is tuned, so nothing of train or validation is read. InputError without ViennaRNA, and for a task that does
    not ask for base pairs.
    """
    if task.shape is not Shape.PAIR_MAP:
        raise InputError(f"{task.name}: asks for a {task.shape}; folding by energy answers with base pairs")
    version = _package().__version__
    examples = task.examples("test")
    found: dict[Method, Measured] = {}
    for method in METHODS:
        settings: dict[str, Any] = {"method": method, "program": f"ViennaRNA {version}"}
        if method == "mea":
            settings["gamma"] = gamma
        structures = (thermodynamic_pairs(example.sequence, method, gamma=gamma) for example in examples)
        found[method] = measured_pairs(examples, structures, settings)
    return found


def _package() -> Any:
    try:
        import RNA
    except ModuleNotFoundError:
        raise missing_extra("ViennaRNA", "fold", "folding by energy") from None
    return RNA
