"""Effects of variants: windows drawn by hand, and scores from one plain pass after the other."""

from __future__ import annotations

import csv
import gzip
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likelihoods import SMALL, causal, chances, exact, network_in, one_pass
from made import fasta, letters
from nuclex.bio.alphabet import DNA
from nuclex.bundle import Bundle, load
from nuclex.core.errors import InputError
from nuclex.core.progress import quiet
from nuclex.data.read import read_sequences
from nuclex.data.reference import Reference
from nuclex.data.variants import Variant
from nuclex.inference import likelihood
from nuclex.inference import score as module
from nuclex.inference.effects import Manner, Pair, effect_rows, effects, window_pair
from nuclex.inference.score import score
from nuclex.models import RobertaConfig
from nuclex.tokenizers import BpeConfig, CodonConfig, KmerConfig, NucleotideConfig

CONTIG = letters(7, 60)
NUCLEOTIDES = NucleotideConfig().build()


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return network_in(load(tiny_bundle), SMALL)


@pytest.fixture(scope="module")
def reader(tiny_bundle: Path) -> Bundle:
    """A model that reads from left to right."""
    return network_in(load(tiny_bundle), SMALL.model_copy(update={"causal": True}))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("reference")
    return Reference(fasta(folder / "genome.fa", [("c", CONTIG), ("soft", "acguACGUacgRN")]), folder)


def variant(start: int, ref: str, alt: str, contig: str = "c") -> Variant:
    return Variant(contig, start, ref, alt, f"v{start}", "in.vcf:9")


def changed(start: int, size: int) -> Variant:
    """As many letters at a place of the contig, each made another one."""
    ref = CONTIG[start : start + size]
    return variant(start, ref, ref.translate(str.maketrans("ACGT", "CGTA")))


SNVS = [changed(start, 1) for start in (0, 1, 20, 33, 58, 59)]
MNVS = [changed(0, 3), changed(30, 2), changed(57, 3)]
INDELS = [
    variant(20, CONTIG[20], CONTIG[20] + "GATTA"),
    variant(20, CONTIG[20:24], CONTIG[20]),
    variant(0, CONTIG[:3], CONTIG[0]),
    variant(56, CONTIG[56:60], CONTIG[56]),
    variant(59, CONTIG[59], CONTIG[59] + "AC"),
    variant(20, CONTIG[20:22], ""),
    variant(40, CONTIG[40:43], "TTTT" if CONTIG[40] != "T" else "AAAA"),
]


# ---- windows ----


@pytest.mark.parametrize(
    ("given", "around", "window", "ref", "alt"),
    [
        (changed(20, 1), 7, (17, 24), CONTIG[17:24], None),
        (changed(20, 1), 8, (17, 25), CONTIG[17:25], None),  # a letter more to the right
        (changed(20, 2), 7, (18, 25), CONTIG[18:25], None),
        (changed(1, 1), 7, (0, 5), CONTIG[:5], None),  # clipped, not shifted
        (changed(59, 1), 7, (56, 60), CONTIG[56:], None),
        (INDELS[1], 10, (17, 27), CONTIG[17:27], CONTIG[17:21] + CONTIG[24:30]),  # three letters more behind a deletion
        (INDELS[0], 12, (17, 29), CONTIG[17:29], CONTIG[17:21] + "GATTA" + CONTIG[21:24]),
        (INDELS[5], 10, (16, 26), CONTIG[16:26], CONTIG[16:20] + CONTIG[22:28]),
        (INDELS[3], 10, (53, 60), CONTIG[53:], CONTIG[53:57]),  # the contig ends
    ],
)
def test_windows_by_hand(
    given: Variant, around: int, window: tuple[int, int], ref: str, alt: str | None, reference: Reference
) -> None:
    found = window_pair(reference, given, around, NUCLEOTIDES)
    assert isinstance(found, Pair)
    assert (found.start, found.end, found.ref.decode()) == (*window, ref)
    place = given.start - window[0]
    wanted = ref[:place] + given.alt + ref[place + len(given.ref) :] if alt is None else alt
    assert found.alt.decode() == wanted


@pytest.mark.parametrize("frame", [0, 1, 2])
def test_a_window_of_codons_begins_in_the_frame_of_the_contig(frame: int, reference: Reference) -> None:
    tokenizer = CodonConfig(frame=frame).build()  # type: ignore[arg-type]
    for start in range(12, 40):
        found = window_pair(reference, changed(start, 1), 20, tokenizer)
        assert isinstance(found, Pair)
        assert found.start % 3 == 0
        assert found.start + 20 >= found.end > start >= found.start
        words = [CONTIG[place : place + 3] for place in range(found.start + frame, found.end, 3)]
        assert tokenizer.decode(tokenizer.encode(found.ref)) == "".join(words)
    assert window_pair(reference, changed(20, 1), 20, KmerConfig(k=4).build())[1] % 4 == 0  # type: ignore[index]


def test_what_does_not_fit_or_changes_nothing_has_no_window(reference: Reference) -> None:
    assert window_pair(reference, changed(20, 6), 8, NUCLEOTIDES) != "longer than the window"
    assert window_pair(reference, changed(20, 7), 8, NUCLEOTIDES) == "longer than the window"
    assert window_pair(reference, variant(20, CONTIG[20], CONTIG[20]), 8, NUCLEOTIDES) == "no change"


# ---- scores ----


def plain(bundle: Bundle, pair: Pair, *, turned: bool, hide: bool) -> float:
    """ln p(alt) - ln p(ref) at the tokens that differ, from one pass over the reference's window."""
    ref, alt = (
        bundle.tokenizer.encode(DNA.reverse_complement(text) if turned else text).tolist()
        for text in (pair.ref, pair.alt)
    )
    places = [place for place, (one, other) in enumerate(zip(ref, alt, strict=True)) if one != other]
    asked = [bundle.tokenizer.mask_id if hide and place in places else token for place, token in enumerate(ref)]
    table = chances(bundle, asked)
    return sum(np.log(table[place, alt[place]]) - np.log(table[place, ref[place]]) for place in places)


def scored(bundle: Bundle, reference: Reference, variants: list[Variant], manner: Manner) -> list[dict[str, Any]]:
    names = ["variant", "contig", "start", "ref", "alt", "score", "convention", "window_start", "window_end"]
    names += ["forward", "reverse"] if manner.both_strands else []
    rows = effect_rows(effects(bundle, reference, variants, manner))
    return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.mark.parametrize("method", ["exact", "one-pass"])
@pytest.mark.parametrize("around", [9, 30, 200])
def test_substitutions_are_compared_where_they_stand(
    around: int, method: str, bundle: Bundle, reference: Reference
) -> None:
    manner = Manner(method, around, True)  # type: ignore[arg-type]
    rows = scored(bundle, reference, SNVS + MNVS, manner)
    assert len(rows) == 9
    for row, one in zip(rows, SNVS + MNVS, strict=True):
        pair = window_pair(reference, one, around, NUCLEOTIDES)
        assert isinstance(pair, Pair)
        ways = [plain(bundle, pair, turned=turned, hide=method == "exact") for turned in (False, True)]
        assert (row["forward"], row["reverse"]) == pytest.approx(ways, abs=1e-4)
        assert row["score"] == pytest.approx(sum(ways) / 2, abs=1e-4)
        assert row["convention"] == ("masked-marginal" if method == "exact" else "wild-type-marginal")
        assert (row["start"], row["ref"], row["alt"], row["variant"]) == (one.start, one.ref, one.alt, f"v{one.start}")
        assert (row["window_start"], row["window_end"]) == (pair.start, pair.end)
    assert len({round(row["score"], 6) for row in rows}) == 9


@pytest.mark.parametrize("method", ["exact", "one-pass", "causal"])
def test_indels_are_compared_by_their_windows(
    method: str, bundle: Bundle, reader: Bundle, reference: Reference
) -> None:
    asked, way = (reader, causal) if method == "causal" else (bundle, exact if method == "exact" else one_pass)
    given = [*INDELS, *(SNVS if method == "causal" else [])]
    rows = scored(asked, reference, given, Manner(method, 20, True))  # type: ignore[arg-type]
    names = {"exact": "pseudo-log-likelihood-difference", "one-pass": "one-pass-difference"}
    for row, one in zip(rows, given, strict=True):
        pair = window_pair(reference, one, 20, NUCLEOTIDES)
        assert isinstance(pair, Pair)
        assert row["forward"] == pytest.approx(way(asked, pair.alt) - way(asked, pair.ref), abs=1e-4)
        turned = [DNA.reverse_complement(text) for text in (pair.alt, pair.ref)]
        assert row["reverse"] == pytest.approx(way(asked, turned[0]) - way(asked, turned[1]), abs=1e-4)
        assert row["convention"] == names.get(method, "log-likelihood-difference")


def test_one_strand_is_one_score(bundle: Bundle, reference: Reference) -> None:
    both = scored(bundle, reference, SNVS + INDELS, Manner("exact", 20, True))
    one = scored(bundle, reference, SNVS + INDELS, Manner("exact", 20, False))
    assert [row["score"] for row in one] == pytest.approx([row["forward"] for row in both], abs=1e-5)


def test_company_and_packing_change_nothing(
    bundle: Bundle, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    manner, given = Manner("exact", 20, True), SNVS + MNVS + INDELS
    wanted = [row["score"] for row in scored(bundle, reference, given, manner)]
    alone = [scored(bundle, reference, [one], manner)[0]["score"] for one in given]
    assert alone == pytest.approx(wanted, abs=1e-5)
    for name in (likelihood, __import__("nuclex.inference.effects", fromlist=["x"])):
        monkeypatch.setattr(name, "MICRO_TOKENS", 50)
    backwards = [row["score"] for row in scored(bundle, reference, given[::-1], manner)]
    assert backwards[::-1] == pytest.approx(wanted, abs=1e-5)


def test_overlapping_tokens_are_all_hidden(bundle: Bundle, reference: Reference) -> None:
    """One letter is in three 3-mers; as long as one of them is seen, it can be read off."""
    asked = network_in(replace(bundle, tokenizer=KmerConfig(k=3, stride=1).build()), SMALL)
    (row,) = scored(asked, reference, [changed(30, 1)], Manner("exact", 20, False))
    pair = window_pair(reference, changed(30, 1), 20, asked.tokenizer)
    assert isinstance(pair, Pair)
    ref, alt = (asked.tokenizer.encode(text) for text in (pair.ref, pair.alt))
    assert (ref != alt).sum() == 3
    assert row["score"] == pytest.approx(plain(asked, pair, turned=False, hide=True), abs=1e-4)
    assert row["convention"] == "masked-marginal"


def test_learned_tokens_are_compared_by_their_windows(bundle: Bundle, reference: Reference) -> None:
    tokenizer = BpeConfig(vocab_size=40).train([letters(seed, 300) for seed in range(20)])
    asked = network_in(replace(bundle, tokenizer=tokenizer), SMALL)
    for row, one in zip(scored(asked, reference, SNVS, Manner("exact", 20, False)), SNVS, strict=True):
        pair = window_pair(reference, one, 20, tokenizer)
        assert isinstance(pair, Pair)
        assert row["score"] == pytest.approx(exact(asked, pair.alt) - exact(asked, pair.ref), abs=1e-4)
        assert row["convention"] == "pseudo-log-likelihood-difference"


def test_codons_are_compared_one_against_one_and_what_cannot_be_read_is_counted(bundle: Bundle, tmp_path: Path) -> None:
    text = "ATG" + letters(3, 30).replace("T", "C") + "TAA"
    genes = Reference(fasta(tmp_path / "genes.fa", [("gene", text)]), tmp_path)
    asked = network_in(replace(bundle, tokenizer=CodonConfig(frame=0).build()), SMALL)
    substitution, frameshift = Variant("gene", 4, text[4], "T", "", ""), Variant("gene", 4, text[4], "TT", "", "")
    part = effects(asked, genes, [substitution, frameshift], Manner("exact", 300, False))
    assert part.texts["skipped"] == ["refused by the tokenizer"]
    (row,) = effect_rows(part)
    pair = window_pair(genes, substitution, 300, asked.tokenizer)
    assert isinstance(pair, Pair)
    assert (pair.start, pair.end) == (0, 36)
    assert row[5] == pytest.approx(plain(asked, pair, turned=False, hide=True), abs=1e-4)


def test_lower_case_rna_and_ambiguous_letters_of_the_reference(bundle: Bundle, reference: Reference) -> None:
    given = [variant(3, "T", "A", "soft"), variant(0, "ACGT", "A", "soft"), variant(11, "A", "C", "soft")]
    rows = scored(bundle, reference, given, Manner("exact", 30, True))
    assert [row["ref"] for row in rows] == ["T", "ACGT", "A"]
    with pytest.raises(InputError, match=r"in\.vcf:9: REF is 'G', but .*genome\.fa has 'R' there, at letter 12"):
        scored(bundle, reference, [variant(11, "G", "C", "soft")], Manner("exact", 30, False))


def test_what_is_no_variant_of_this_reference_is_named(bundle: Bundle, reference: Reference) -> None:
    wrong = "A" if CONTIG[20] != "A" else "C"
    for given, sentence in (
        (
            variant(20, wrong, "G"),
            rf"^in\.vcf:9: REF is '{wrong}', but .* has '{CONTIG[20]}' there, at letter 21 \(1-b",
        ),
        (variant(58, CONTIG[58:] + "A", "G"), r"^in\.vcf:9: REF is letters 59 to 61 \(1-based\) of 'c', which has 60"),
        (variant(-1, "N", "G"), r"^in\.vcf:9: REF is letters 0 to 0 "),
        (
            variant(3, "A", "G", "chr1"),
            r"^in\.vcf:9: 'chr1' is no sequence of .*genome\.fa, which begins with 'c', 'soft'",
        ),
    ):
        with pytest.raises(InputError, match=sentence):
            effects(bundle, reference, [given], Manner("exact", 20, False))


def test_a_letter_that_has_no_partner_is_named(bundle: Bundle, tmp_path: Path) -> None:
    odd = Reference(fasta(tmp_path / "odd.fa", [("c", "ACGTACGTACGTACGTACGTACGTACGTACGTACGTXCGT")]), tmp_path)
    with pytest.raises(InputError, match=r"in\.vcf:9: the window of 'c': DNA with IUPAC letters: letter 'X'"):
        effects(bundle, odd, [variant(34, "G", "T")], Manner("exact", 30, True))
    assert effects(bundle, odd, [variant(34, "G", "T")], Manner("exact", 30, False)).texts["skipped"] == []


# ---- the verb ----


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A reference and a VCF of it, with alternatives of every kind."""
    genome = fasta(tmp_path / "genome.fa", [("c", CONTIG), ("d", letters(8, 30))])
    lines = ["##fileformat=VCFv4.3", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    rows = [(one.start + 1, one.name, one.ref, one.alt) for one in SNVS + INDELS if one.alt]
    rows += [(21, "many", CONTIG[20], ",".join(letter for letter in "ACGT" if letter != CONTIG[20]))]
    rows += [(5, ".", CONTIG[4], f"<DEL>,*,{CONTIG[4]}TT"), (7, ".", CONTIG[6], "<DUP>"), (8, ".", CONTIG[7], ".")]
    lines += ["\t".join(map(str, ("c", *row, ".", "PASS", "."))) for row in rows]
    (tmp_path / "in.vcf").write_text("\n".join(lines) + "\n")
    return genome, tmp_path / "in.vcf"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_a_vcf_becomes_a_table(bundle: Bundle, files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.tsv"
    with quiet():
        done = score(bundle, files[0], out, variants=files[1], around=20, strands="both")
    assert done == {
        "out": str(out), "variants": 16, "method": "exact", "around": 20, "strands": "both",
        "skipped": {"no alternative (.)": 1, "overlapping deletion (*)": 1, "symbolic (<...>)": 2},
    }  # fmt: skip
    rows = rows_of(out)
    assert [row["variant"] for row in rows[-4:]] == ["many"] * 3 + [""]
    assert {row["contig"] for row in rows} == {"c"}
    assert [int(row["start"]) for row in rows[:6]] == [one.start for one in SNVS]
    assert {row["convention"] for row in rows} == {"masked-marginal", "pseudo-log-likelihood-difference"}
    for row in rows:
        assert float(row["score"]) == pytest.approx((float(row["score_forward"]) + float(row["score_reverse"])) / 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["genome.fa", "in.vcf", "out.tsv"]


def test_a_table_of_variants_is_the_same(bundle: Bundle, files: tuple[Path, Path], tmp_path: Path) -> None:
    lines = ["id,start,ref,alt", *(f"c,{one.start},{one.ref},{one.alt or '-'}" for one in SNVS + INDELS)]
    (tmp_path / "in.csv").write_text("\n".join(lines) + "\n")
    with quiet():
        score(bundle, files[0], tmp_path / "vcf.tsv", variants=files[1])
        score(bundle, files[0], tmp_path / "csv.tsv", variants=tmp_path / "in.csv")
    found, wanted = rows_of(tmp_path / "csv.tsv"), rows_of(tmp_path / "vcf.tsv")[:12]
    (bare,) = (row for row in found if row["alt"] == "-")
    found.remove(bare)
    assert [float(row["score"]) for row in found] == pytest.approx([float(row["score"]) for row in wanted], abs=1e-5)
    assert [row["window_start"] for row in found] == ["0"] * 12


def test_a_ref_that_disagrees_leaves_nothing(bundle: Bundle, files: tuple[Path, Path], tmp_path: Path) -> None:
    genome = fasta(tmp_path / "other.fa", [("c", DNA.complement(CONTIG))])
    with pytest.raises(InputError, match=r"in\.vcf:3: REF is '.', but .*other\.fa has '.' there, at letter 1 "):
        score(bundle, genome, tmp_path / "out.tsv", variants=files[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["genome.fa", "in.vcf", "other.fa"]


def test_a_table_of_positions_sets_how_much_is_read(bundle: Bundle, files: tuple[Path, Path], tmp_path: Path) -> None:
    short = network_in(bundle, RobertaConfig(depth=1, width=8, heads=2, inner=8, max_positions=18).backbone())
    with quiet():
        done = score(short, files[0], tmp_path / "out.tsv", variants=files[1])
    assert done["around"] == 14
    with pytest.raises(InputError, match=r"in\.vcf:\d+: its window has \d+ tokens, this model reads at most 14; "):
        score(short, files[0], tmp_path / "out.tsv", variants=files[1], around=40)


class Killed(BaseException):
    """Stands for a kill."""


def test_killed_scoring_of_variants_goes_on(
    bundle: Bundle, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "VARIANTS_AT_ONCE", 4)
    compute, calls = module.effects.effects, 0

    def counted(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Killed
        return compute(*given)

    monkeypatch.setattr(module.effects, "effects", counted)
    out, settings = tmp_path / "out.tsv", {"variants": files[1], "around": 16}
    with quiet():
        with pytest.raises(Killed):
            score(bundle, files[0], out, **settings)
        other = fasta(tmp_path / "other.fa", [("c", CONTIG)])
        with pytest.raises(InputError, match="reference was '"):
            score(bundle, other, out, **settings, resume=True)
        done = score(bundle, files[0], out, **settings, resume=True)
        assert calls == 6
        assert done == {**score(bundle, files[0], tmp_path / "whole.tsv", **settings), "out": str(out)}
    assert out.read_bytes() == (tmp_path / "whole.tsv").read_bytes()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_variants(
    bundle: Bundle, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "VARIANTS_AT_ONCE", 50)
    peaks, pulled = {}, 0

    def many(count: int) -> Iterator[Variant]:
        nonlocal pulled
        for _ in range(count):
            pulled += 1
            yield changed(30, 1)

    for count in (50, 200, 1000):
        monkeypatch.setattr(module, "read_variants", lambda path, count=count: many(count))
        tracemalloc.start()
        with quiet():
            score(bundle, files[0], tmp_path / "out.parquet", variants=files[1], around=20)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert pulled == 2 * 1250  # once to count them for the bar
    assert peaks[1000] < 1.3 * peaks[200] + 100_000, peaks


@pytest.mark.real
@pytest.mark.slow
def test_saturation_mutagenesis_of_regulatory_elements(bundle: Bundle, mirror: Path, tmp_path: Path) -> None:
    """Every REF of Kircher et al. (doi:10.1038/s41467-019-11526-w) is where the table of positions says it is."""
    folder, places = mirror / "variant_effect", {}
    for record in read_sequences(folder / "kircher2019_elements_ref.fa.gz"):
        places[record.id] = int(record.description.split(":")[1].split("-")[0])
    lines, count = ["chrom\tpos\tref\talt"], 0
    with gzip.open(folder / "kircher2019_satmut_elements.tsv.gz", "rt") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            if row["Element"] in places and row["Release"] == "GRCh38" and row["Pos"] != "NA":
                place = int(row["Pos"]) - places[row["Element"]] + 1
                lines.append(f"{row['Element']}\t{place}\t{row['Ref']}\t{row['Alt']}")
                count += 1
    (tmp_path / "in.tsv").write_text("\n".join(lines) + "\n")
    with quiet():
        done = score(
            bundle, folder / "kircher2019_elements_ref.fa.gz", tmp_path / "out.parquet",
            variants=tmp_path / "in.tsv", around=16, method="one-pass",
        )  # fmt: skip
    assert count == 44_647
    assert (done["variants"], done["skipped"]) == (count - 5, {"no change within the window": 5}), "runs of one letter"
