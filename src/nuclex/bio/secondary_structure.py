"""Secondary structure of RNA: base pairs as arrays, as dot-bracket text and in files, all in one place.

The parts are in ``base_pairs`` (arrays), ``dot_bracket`` (text) and ``structure_files`` (.ct, .bpseq, .st).
"""

from nuclex.bio.base_pairs import Pairs, Partners, as_pairs, crossing, from_partners, has_pseudoknot, to_partners
from nuclex.bio.dot_bracket import as_dot_bracket, parse_dot_bracket, to_dot_bracket
from nuclex.bio.structure_files import (
    Structure,
    bpseq_lines,
    ct_lines,
    parse_bpseq,
    parse_ct,
    parse_st,
    read_bpseq,
    read_ct,
    read_ct_all,
    read_st,
    write_bpseq,
    write_ct,
)

__all__ = [
    "Pairs",
    "Partners",
    "Structure",
    "as_pairs",
    "bpseq_lines",
    "crossing",
    "ct_lines",
    "from_partners",
    "has_pseudoknot",
    "parse_bpseq",
    "parse_ct",
    "parse_dot_bracket",
    "parse_st",
    "read_bpseq",
    "read_ct",
    "read_ct_all",
    "read_st",
    "as_dot_bracket",
    "to_dot_bracket",
    "to_partners",
    "write_bpseq",
    "write_ct",
]
