"""Regions that a model found, as a table of the AIRR Rearrangement schema (doi:10.3389/fimmu.2018.02206).

Positions there count from 1 and include both ends. Every column that the schema requires is there; those that a model
of regions knows nothing of (genes, alignments, whether it is productive) are empty, which the schema allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nuclex.bio.regions import FRAMEWORKS_AND_LOOPS, SEGMENTS, Spans

AIRR = ".airr.tsv"
"""How the name of such a table ends."""
REQUIRED = (
    "sequence_id", "sequence", "rev_comp", "productive", "v_call", "d_call", "j_call", "sequence_alignment",
    "germline_alignment", "junction", "junction_aa", "v_cigar", "d_cigar", "j_cigar",
)  # fmt: skip
PLACED: Mapping[str, str] = {
    **{name: name for name in FRAMEWORKS_AND_LOOPS},
    **{name: f"{name}_sequence" for name in SEGMENTS if not name.startswith("np")},
}
"""The regions for which the schema has positions, and what the columns of a region begin with."""


def airr_columns(regions: Sequence[str]) -> list[str]:
    """The columns of a table of these regions: those required, the letters of each region, its start and end."""
    placed = [name for name in regions if name in PLACED]
    letters = [name for name in placed if name in FRAMEWORKS_AND_LOOPS]
    lengths = [f"{name}_length" for name in regions if name.startswith("np")]
    return [*REQUIRED, *letters, *lengths, *(f"{PLACED[name]}_{side}" for name in placed for side in ("start", "end"))]


def airr_row(name: str, sequence: str, spans: Spans, regions: Sequence[str]) -> Iterator[str]:
    """The values of these columns for a sequence, on the strand on which it was read; "" for what is not known.

    The junction is the CDR3 with a codon on either side, where the sequence has both.

    >>> row = dict(zip(airr_columns(["cdr3"]), airr_row("a", "ACTGTAAATGGC", {"cdr3": (5, 8)}, ["cdr3"])))
    >>> row["junction"], row["cdr3"], row["cdr3_start"], row["cdr3_end"]
    ('TGTAAATGG', 'AAA', '6', '8')
    """
    known = {"sequence_id": name, "sequence": sequence, "rev_comp": "F"}
    for region, (start, end) in spans.items():
        if region in PLACED:
            known |= {region: sequence[start:end]} if region in FRAMEWORKS_AND_LOOPS else {}
            known |= {f"{PLACED[region]}_start": str(start + 1), f"{PLACED[region]}_end": str(end)}
        known[f"{region}_length"] = str(end - start)
    start, end = spans.get("cdr3", (0, 0))
    if start >= 3 and end + 3 <= len(sequence):
        known["junction"] = sequence[start - 3 : end + 3]
    return (known.get(column, "") for column in airr_columns(regions))
