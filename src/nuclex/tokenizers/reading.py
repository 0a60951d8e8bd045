"""How a written sequence is read: upper or lower case, T or U, and how much of it may be unknown."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError

Case = Literal["upper", "keep"]
Alphabet = Literal["dna", "rna"]
Ids = NDArray[np.int64]


def ascii_bytes(sequence: str | bytes) -> bytes:
    """The letters of a sequence as bytes; bytes pass through uncopied. InputError where a letter is not ASCII.

    >>> ascii_bytes("ACGU")
    b'ACGU'
    """
    if isinstance(sequence, bytes):
        if not sequence.isascii():
            position = next(index for index, byte in enumerate(sequence) if byte > 127)
            raise InputError(
                f"sequence: the byte {sequence[position]:#04x} at position {position} (counted from 0) is not ASCII; "
                "sequences are written in ASCII letters"
            )
        return sequence
    try:
        return sequence.encode("ascii")
    except UnicodeEncodeError as error:
        raise InputError(
            f"sequence: {sequence[error.start]!r} at position {error.start} (counted from 0) is not ASCII; "
            "sequences are written in ASCII letters"
        ) from None


def folding(case: Case, alphabet: Alphabet) -> bytes:
    """The table for ``bytes.translate`` that writes every letter the tokenizer's way: 256 bytes.

    ``case`` "upper" reads lower case as upper case, "keep" leaves it (and thereby unknown);
    ``alphabet`` "dna" reads U as T, "rna" reads T as U.

    >>> b"acgu-x".translate(folding("upper", "dna"))
    b'ACGT-X'
    """
    table = bytearray(range(256))
    if case == "upper":
        table = bytearray(bytes(table).upper())
    read, as_letter = (b"U", b"T") if alphabet == "dna" else (b"T", b"U")
    return bytes(table).translate(bytes.maketrans(read, as_letter))


def look_up_table(values: dict[str, int], fold: bytes, unknown: int) -> Ids:
    """For each of the 256 bytes the value of the letter it is read as, else ``unknown``: (256,)."""
    folded_values = np.full(256, unknown, dtype=np.int64)
    for letter, value in values.items():
        folded_values[ord(letter)] = value
    return folded_values[np.frombuffer(fold, dtype=np.uint8)]


def refuse_unknown(unknown: int, total: int, allowed: float, first: tuple[int, str], known: str) -> None:
    """InputError if more than the ``allowed`` share of ``total`` symbols is ``unknown``.

    ``first`` is the position (0-based, in letters) and the text of the first unknown symbol; ``known`` says what
    would have been understood.
    """
    if unknown <= allowed * total:
        return
    position, symbol = first
    raise InputError(
        f"sequence: {symbol!r} at position {position} (counted from 0) is unknown, and so are {unknown} of {total} "
        f"symbols ({unknown / total:.1%}); at most {allowed:.1%} may be; known: {known}"
    )
