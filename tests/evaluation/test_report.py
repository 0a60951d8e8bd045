"""The page: whole, self-contained, escaped, equal for equal reports, and its CSV gives the numbers back."""

from __future__ import annotations

import base64
import csv
import io
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.evaluation.report import (
    Figure,
    Headline,
    Report,
    Section,
    Step,
    Table,
    Verdict,
    cell_text,
    render,
    write_report,
)
from nuclex.metrics.statistics import Interval

HOSTILE = "<script>alert(1)</script>\"'&"
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path id="a" d="M 0 0 L 9 9"/></svg>'
VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}


class Page(HTMLParser):
    """Elements in order, text, and whether every element that opens is closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def links(self) -> dict[str, str]:
        """Name of each file that can be saved → its content."""
        found = {}
        for tag, attributes in self.tags:
            if tag == "a" and (name := attributes.get("download")):
                _, _, content = str(attributes["href"]).partition(";base64,")
                found[name] = base64.b64decode(content, validate=True).decode("utf-8")
        return found


def report(word: str = "word") -> Report:
    interval = Interval(0.5934, 0.587, 0.6, n=48213, level=0.95, method="BCa bootstrap")
    table = Table(
        (word, "loss", "accuracy"),
        (("model", 0.951234567, interval), (word, 1.29, None)),
        caption=word,
        highlight=(0,),
        notes=(word,),
        formats={"loss": ".2f"},
        name=word,
    )
    figure = Figure(word, word, PICTURE, table, caption=word, alt=word, wide=True)
    section = Section(
        word, f"{word}\n\nsecond", (figure, figure), (table,), (Verdict(False, word),), (Step(word, word),)
    )
    return Report(
        word,
        word,
        (Headline(word, word, word),),
        (section, section, section),
        {word: {word: [word, 1]}, "none": None},
        notice=word,
        verdicts=(Verdict(True, word),),
    )


def test_the_page_is_well_formed_and_holds_each_part() -> None:
    html = render(report("a word"))
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>\n")
    names = [tag for tag, _ in page.tags]
    assert (names.count("svg"), names.count("table"), names.count("h2"), names.count("h1")) == (6, 4, 4, 1)
    classes = [attributes.get("class") for _, attributes in page.tags]
    assert classes.count("notice") == 1
    assert classes.count("verdict good") == 1
    assert classes.count("verdict bad") == 3
    text = " ".join("".join(page.words).split())
    assert "Figure 6. a word." in text
    assert "Table 3. a word" in text
    assert "0.593 [0.587, 0.600]" in text
    assert re.search(r"a word\.a word ?a word 1 ?none ?–", text)


def test_the_page_loads_and_runs_nothing() -> None:
    html = render(report())
    page = Page(html)
    assert not {"script", "iframe", "img", "object", "embed", "form", "base"} & {tag for tag, _ in page.tags}
    assert re.findall(r"https?://[^\s\"'<]+", html) == ["http://www.w3.org/2000/svg"] * 6
    assert not re.search(r"@import|url\((?!#)|\bsrc=", html)
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        address = attributes.get("href")
        assert address is None or address.startswith(("#", "data:")), (tag, address)
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "script" not in policy


def test_hostile_words_stay_words() -> None:
    honest, hostile = Page(render(report("word"))), Page(render(report(HOSTILE)))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in honest.tags]
    assert [set(a) for _, a in hostile.tags] == [set(a) for _, a in honest.tags]
    assert "".join(hostile.words).count(HOSTILE) >= 20
    assert all(re.fullmatch(r"[\w.-]+", name) for name in hostile.links())


def test_every_picture_speaks_to_a_screen_reader() -> None:
    pictures = [attributes for tag, attributes in Page(render(report("trend"))).tags if tag == "svg"]
    assert all(a["role"] == "img" and a["aria-label"] == "trend. trend" for a in pictures)


def test_equal_reports_give_equal_pages() -> None:
    assert render(report()) == render(report())


def test_a_small_report_has_no_empty_parts() -> None:
    page = Page(render(Report("title")))
    classes = {attributes.get("class") for _, attributes in page.tags}
    assert not classes & {"notice", "subtitle", "headlines", "verdict good"}
    assert "nav" not in [tag for tag, _ in page.tags]


def test_saved_csv_holds_the_numbers_in_full() -> None:
    saved = Page(render(report("set 1"))).links()
    assert set(saved) == {"set-1.csv", "set-1.svg"}
    rows = list(csv.reader(io.StringIO(saved["set-1.csv"])))
    assert rows[0] == ["set 1", "loss", "accuracy", "accuracy low", "accuracy high", "accuracy n"]
    assert rows[1] == ["model", "0.951234567", "0.5934", "0.587", "0.6", "48213"]
    assert rows[2] == ["set 1", "1.29", "", "", "", ""]
    assert saved["set-1.svg"] == PICTURE


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))


@given(st.lists(st.tuples(words, st.floats(allow_nan=False), st.integers()), max_size=5))
def test_csv_round_trip(rows: list[tuple[str, float, int]]) -> None:
    table = Table(("name", "x", "n"), tuple(rows))
    back = list(csv.reader(io.StringIO(table.csv(), newline="")))
    assert [(name, float(x), int(n)) for name, x, n in back[1:]] == rows


def test_numpy_numbers_are_numbers() -> None:
    table = Table(("a", "b", "c"), ((np.int64(3), np.float32(0.5), np.bool_(True)),))
    assert table.rows == ((3, 0.5, True),)
    assert table.csv() == "a,b,c\r\n3,0.5,True\r\n"


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        ((0.9, 0.857), ["0.900", "0.857"]),
        ((0.00003, 0.5), ["3e-05", "0.5"]),
        ((1234.56, 2.0), ["1,234.6", "2.0"]),
        ((math.nan, 0.5), ["–", "0.500"]),
        ((1234567, 2), ["1,234,567", "2"]),
    ],
)
def test_numbers_of_a_column_are_written_alike(column: tuple[float, ...], shown: list[str]) -> None:
    html = render(Report("t", sections=(Section("s", tables=(Table(("n", "x"), tuple(("r", v) for v in column)),)),)))
    assert re.findall(r'<td class="number">([^<]*)</td>', html) == shown


def test_an_interval_that_could_not_be_made_is_left_out() -> None:
    assert cell_text(Interval(0.5, math.nan, math.nan, n=1, level=0.95, method="none")) == "0.500"


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 cells, not 2"):
        Table(("a", "b"), ((1, 2), (3,)))
    with pytest.raises(ValueError, match=r"columns that do not exist: \['c'\]"):
        Table(("a",), ((1,),), formats={"c": ".2f"})


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.html"
    assert write_report(report(), target) == target
    assert target.read_text(encoding="utf-8") == render(report())
    bad = Report("t", sections=(Section("s", figures=(Figure("f", "f", "<svg><script/></svg>", Table((), ())),)),))
    with pytest.raises(ValueError, match="<script> is not allowed"):
        write_report(bad, target)
    assert target.read_text(encoding="utf-8") == render(report())
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]
