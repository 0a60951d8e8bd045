"""The page with models that read otherwise (causal over codons, byte pairs), by keyboard alone, and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from designers import bundle_of
from likelihoods import SMALL, network_in
from nuclex.bundle import Record, load, write_bundle
from nuclex.tokenizers import TOKENIZERS
from pages import CDS, KINDS, PATIENCE, PHONE, RNA, Visit, axe, browser, served, violations

pytestmark = pytest.mark.slow
READ = "".join(f">{name}\n{text}\n" for name, text in (("one", CDS), ("two", CDS[:30]), ("three", CDS[3:24])))
ABLE = {"causal": {"predict", "embed", "mutate", "codons"}, "bpe": {"embed"}}
CASES = [(name, kind) for name, kinds in ABLE.items() for kind in KINDS if kind in kinds]
FOCUSED = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at)
  return [at.id || at.name || at.textContent.trim(), box.top + scrollY, box.width * box.height, style.outlineStyle]
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def addresses(chromium: Any, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("others")
    codons = bundle_of("gpt2")
    tokenizer = TOKENIZERS.parse({"kind": "bpe", "vocab_size": 40}).train(["ACGTTGCAACGTACGGTACCATGA" * 4])
    pairs = network_in(replace(load(tiny_bundle), tokenizer=tokenizer), SMALL)
    for name, bundle in (("causal", codons), ("bpe", pairs)):
        write_bundle(folder / name, bundle.model, bundle.tokenizer, Record({}, {}, {}, {"name": "corpus"}, name))
    with (
        served(str(folder / "causal")) as causal,
        served(str(folder / "bpe")) as bpe,
        served(str(tiny_bundle)) as masked,
    ):
        yield {"causal": causal, "bpe": bpe, "masked": masked}


def test_what_the_model_cannot_answer_says_why(chromium: Any, addresses: dict[str, str]) -> None:
    for name, kinds in ABLE.items():
        visit = Visit(chromium, addresses[name])
        page = visit.open()
        cards = {kind: page.locator(".kind", has=page.locator(f'input[value="{kind}"]')) for kind in KINDS}
        marked = {kind for kind, card in cards.items() if "cannot" in card.get_attribute("class")}
        assert marked == set(KINDS) - kinds
        told = page.evaluate("fetch('/api/v1/about').then(answer => answer.json())")["bundles"][0]["can"]
        assert all(told[kind][1:] in cards[kind].inner_text() for kind in marked)
        assert page.input_value("#kinds input:checked") in kinds  # a view that is refused is never the first
        visit.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_axe_and_a_phone_of_every_answer(
    chromium: Any, addresses: dict[str, str], name: str, kind: str, scheme: str
) -> None:
    source = axe()
    visit = Visit(chromium, addresses[name], color_scheme=scheme, viewport=PHONE)
    page = visit.open()
    visit.ask(kind, READ)
    page.locator("details summary").first.click()
    page.wait_for_selector("details table", timeout=PATIENCE)
    assert violations(page, source) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for wrong in ("NaN", "undefined", "Infinity", "null"):
        assert wrong not in page.inner_text("body")
    visit.close()


def tabbed(page: Any) -> list[list[Any]]:
    """What the tabulator key reaches from the top, in its order: name, place from above, area, outline."""
    page.evaluate("scrollTo(0, 0)")
    page.locator("body").click(position={"x": 1, "y": 1})
    stops: list[list[Any]] = []
    while len(stops) < 80:
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):  # past the last one
            break
        stops.append(page.evaluate(FOCUSED))
    return stops


def test_the_tabulator_goes_down_the_page_and_shows_where_it_is(chromium: Any, addresses: dict[str, str]) -> None:
    visit = Visit(chromium, addresses["masked"])
    page = visit.open()
    visit.ask("predict", f">rna\n{RNA}\n")
    stops = [stop for stop in tabbed(page) if stop[2]]
    names = [name for name, *_ in stops]
    assert names[0] == "skip"
    order = [names.index(name) for name in ("API", "theme", "fasta", "file", "kind", "run", "link", "with")]
    assert order == sorted(order)
    tops = [top for name, top, *_ in stops if name != "skip"]
    assert all(later > earlier - 60 for earlier, later in pairwise(tops))  # a row is 60 px at most
    assert [name for name, _, _, outline in stops if outline == "none"] == []
    visit.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["predict", "fold", "embed", "mutate"])
def test_paper_is_white_and_holds_the_pictures(
    chromium: Any, addresses: dict[str, str], kind: str, scheme: str
) -> None:
    visit = Visit(chromium, addresses["masked"], color_scheme=scheme)
    page = visit.open()
    visit.ask(kind, f">rna\n{RNA}\n>other\n{RNA[::-1]}\n" if kind == "embed" else f">rna\n{RNA}\n")
    page.emulate_media(media="print", color_scheme=scheme)
    page.set_viewport_size({"width": 700, "height": 900})
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    ink = page.evaluate("getComputedStyle(document.querySelector('figcaption, h3')).color")
    assert max(int(part) for part in ink.removeprefix("rgb(").rstrip(")").split(",")) < 128
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    assert page.locator("#pictures svg").count()
    visit.close()
