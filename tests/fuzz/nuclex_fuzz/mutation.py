"""Broken files out of whole ones: a seeded stream of mutations, the same on every machine.

Every mutation is something that happens to files: bits flip, downloads stop, editors add marks, programs write other
line ends, tables lose a column, numbers overflow, somebody concatenates what does not belong together.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import re
from collections.abc import Callable, Iterator, Sequence

Mutation = Callable[[bytes, random.Random], bytes]

LONG = (2_000, 20_000, 70_000)
DEEP = (40, 3_000, 20_000)
NUMBERS = (
    *(b"0", b"-1", b"00", b"007", b"1.5", b"1e400", b"-1e-400", b"nan", b"inf", b"0x10", b"1_000", b"1:30", b"+3"),
    *(b"2147483648", b"9223372036854775808", b"1" + b"0" * 30, b"9" * 5_000, "３".encode(), "²".encode(), b"true"),
)
MARKS = (
    *(b"\x00", b"\x07", b"\x0b", b"\x0c", b"\x1a", b"\x1b[31m", b"\x1c", b"\x1f", b"\x7f", b"\t", b"\r", b"\n", b" "),
    *(b"\x80", b"\xff", b"\xc3", b"\xc3\xa9", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xfe\xff"),
    *(
        b"\xef\xbb\xbf",
        b"\xc2\x85",
        b"\xc2\xa0",
        b"\xe2\x80\xa8",
        b"\xe2\x80\x8b",
        b"\xe2\x80\xae",
        b"\xf0\x9f\xa7\xac",
    ),
)
TOKENS = (
    *(
        b">",
        b"@",
        b"+",
        b";",
        b"#",
        b"//",
        b"'",
        b'"',
        b'"""',
        b"'''",
        b"=",
        b",",
        b"\\",
        b"|",
        b"*",
        b"-",
        b".",
        b"!!",
    ),
    *(b"[", b"]", b"{", b"}", b"(", b")", b"<", b"&a", b"*a", b"<<: *a", b"null", b"[]", b"{}", b'""', b"LOCUS", b"ID"),
    *(
        b"ORIGIN",
        b"SQ",
        b"N",
        b"n",
        b"U",
        b"X",
        b"7",
        b"\n\n",
        b"\n>\n",
        b"\n \n",
        b"../../x",
        b"%s",
        b"{0}",
        b"\\u0000",
    ),
)


def mutants(seeds: Sequence[bytes], count: int, stream: str, *, compressed: bool = False) -> Iterator[bytes]:
    """``count`` broken inputs, decided by ``stream`` alone; one in forty is a seed as it is.

    With ``compressed`` one in eight is packed by a compressor, and most of those are damaged after it.
    """
    chance = random.Random(stream)
    for _ in range(count):
        data = chance.choice(seeds)
        if chance.random() < 1 / 40:
            yield data
            continue
        packed = compressed and chance.random() < 1 / 8
        for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5)) if not packed else chance.choice((0, 0, 1))):
            data = mutated(data, seeds, chance)
        yield _packed(data, chance) if packed else data


def mutated(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """One mutation; splicing takes its other half from the seeds."""
    if chance.random() < 0.12:
        return _spliced(data, chance.choice(seeds), chance)
    return chance.choice(MUTATIONS)(data, chance)


def _flipped(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return b"\x00"
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def _replaced(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :]


def _printable(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + bytes([chance.randrange(32, 127)]) + data[place + 1 :]


def _slice(data: bytes, chance: random.Random) -> tuple[int, int]:
    first = chance.randrange(len(data) + 1)
    return first, min(len(data), first + chance.choice((1, 1, 2, 4, 16, 64, 1024)))


def _deleted(data: bytes, chance: random.Random) -> bytes:
    first, last = _slice(data, chance)
    return data[:first] + data[last:]


def _doubled(data: bytes, chance: random.Random) -> bytes:
    first, last = _slice(data, chance)
    return data[:last] + data[first:last] * chance.choice((1, 1, 3, 200)) + data[last:]


def _cut(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data) + 1)
    return chance.choice((data[:place], data[:place], data[place:]))


def _spliced(data: bytes, other: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def _inserted(what: Sequence[bytes]) -> Mutation:
    def insert(data: bytes, chance: random.Random) -> bytes:
        place = chance.choice((0, len(data), *(chance.randrange(len(data) + 1) for _ in range(6))))
        return data[:place] + chance.choice(what) + data[place:]

    return insert


def _line_ends(data: bytes, chance: random.Random) -> bytes:
    """CRLF, CR or a Unicode line separator instead of all line feeds, or of some."""
    end, share = chance.choice((b"\r\n", b"\r", b"\r\r\n", b"\n\r", b"\xe2\x80\xa8")), chance.choice((1.0, 0.3))
    pieces = data.split(b"\n")
    ends = [end if chance.random() < share else b"\n" for _ in pieces[1:]]
    return pieces[0] + b"".join(mark + piece for mark, piece in zip(ends, pieces[1:], strict=True))


def _lines(data: bytes, chance: random.Random) -> bytes:
    """A line lost, doubled, moved, blank, joined with the next, or without its line feed."""
    lines = data.splitlines(keepends=True) or [b"\n"]
    here, there = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(6):
        case 0:
            del lines[here]
        case 1:
            lines.insert(there, lines[here])
        case 2:
            lines[here], lines[there] = lines[there], lines[here]
        case 3:
            lines.insert(here, chance.choice((b"\n", b" \n", b"\t\r\n")))
        case 4:
            lines[here] = lines[here].rstrip(b"\r\n")
        case _:
            lines[here] = lines[here].swapcase()
    return b"".join(lines)


def _words(data: bytes, chance: random.Random) -> bytes:
    """A word lost, doubled or put in the place of another."""
    words = list(re.finditer(rb"[^\s,;:=]+", data[:20_000]))
    if not words:
        return data
    here, there = chance.choice(words), chance.choice(words)
    new = chance.choice((b"", here[0] * 2, there[0], here[0] + b" " + here[0]))
    return data[: here.start()] + new + data[here.end() :]


def _number(data: bytes, chance: random.Random) -> bytes:
    numbers = list(re.finditer(rb"[0-9]+", data[:20_000]))
    if not numbers:
        return data + chance.choice(NUMBERS)
    here = chance.choice(numbers)
    return data[: here.start()] + chance.choice(NUMBERS) + data[here.end() :]


def _long(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data) + 1)
    return (
        data[:place]
        + chance.choice((b"A", b"(", b" ", b"x", b"\n", b"#", b'"', b"\x00")) * chance.choice(LONG)
        + data[place:]
    )


def _deep(data: bytes, chance: random.Random) -> bytes:
    place, depth = chance.randrange(len(data) + 1), chance.choice(DEEP)
    return data[:place] + chance.choice((b"[", b"{", b"(", b"a.", b'{"a":', b"- ", b"[[")) * depth + data[place:]


def _packed(data: bytes, chance: random.Random) -> bytes:
    packed = chance.choice((gzip.compress, lzma.compress, bz2.compress, _zstd))(data)
    match chance.randrange(6):
        case 0:
            return packed
        case 1:
            return packed + packed
        case 2:
            return packed + chance.choice((b"\x00" * 9, b"rest", data))
        case 3:
            return _flipped(packed, chance)
        case 4:
            return _deleted(packed, chance)
        case _:
            return packed[: chance.randrange(len(packed))]


def _zstd(data: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.compress(data, codec="zstd", asbytes=True))


MUTATIONS: tuple[Mutation, ...] = (
    *(_flipped, _replaced, _printable, _deleted, _doubled, _cut, _line_ends, _lines, _lines, _words, _words, _number),
    *(_number, _inserted(MARKS), _inserted(MARKS), _inserted(TOKENS), _inserted(TOKENS)),
    *(_long, _deep),
)
