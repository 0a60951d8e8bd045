"""The page in a real browser: what a visitor pastes, presses and gets, against the API's own answers."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from learners import write_tiny_bundle
from made import fasta, letters
from pages import CDS, KINDS, PATIENCE, PHONE, RNA, Visit, axe, browser, served, violations

pytestmark = pytest.mark.slow
FAMILY = "".join(f">{name}\n{text}\n" for name, text in (("one", RNA), ("two", RNA[::-1]), ("three", RNA[4:])))
TEXTS = dict.fromkeys(KINDS, f">rna\n{RNA}\n") | {"embed": FAMILY, "codons": f">cds\n{CDS}\n"}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def address(chromium: Any, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("page")
    other = write_tiny_bundle(folder, depth=1, width=16)
    reference = fasta(folder / "known.fa", [(f"r{n} family=f{n % 3}", letters(n, 30 + n)) for n in range(12)])
    with served(str(tiny_bundle), str(other), "--reference", str(reference), "--seconds", "120") as found:
        yield found


@pytest.fixture
def visit(chromium: Any, address: str) -> Iterator[Visit]:
    window = Visit(chromium, address)
    window.open()
    yield window
    window.close()


def test_pasting_and_predicting_shows_the_api_s_numbers(visit: Visit) -> None:
    result = visit.ask("predict", TEXTS["predict"])["sequences"][0]
    page = visit.page
    assert page.locator(".strip svg").count() == 1
    marked = page.locator(".strip circle")
    assert marked.count() == len(RNA)  # one letter of the sequence marked in each column
    page.focus(".strip")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    visit.wait_for("#readout", f"Position 1, {RNA[0]}: p = {result['own'][0]:.3f}")
    assert f"p = {result['own'][0]:.3f}" in page.inner_text("#tip")
    rows = list(csv.DictReader(io.StringIO(visit.saved(page.get_by_role("button", name="Download data")))))
    assert [row["letter"] for row in rows] == list(RNA)
    assert [float(row["p_own"]) for row in rows] == result["own"]
    drawn = ET.fromstring(visit.saved(page.get_by_role("button", name="Download SVG")))
    assert drawn[0].text == "What the model expects in rna"
    assert sum(node.tag.endswith("circle") for node in drawn.iter()) == len(RNA)
    assert not [node for node in drawn.iter() if any("href" in key or key == "style" for key in node.attrib)]


def test_bare_letters_are_enough(visit: Visit) -> None:
    assert visit.ask("predict", RNA)["sequences"][0]["letters"] == RNA


def test_the_logo_switches_and_the_link_remembers(visit: Visit) -> None:
    visit.ask("predict", TEXTS["predict"])
    page = visit.page
    before = page.locator(".strip svg").first.evaluate("svg => svg.innerHTML")
    page.check('input[name="logo"][value="probability"]')
    page.wait_for_selector(".strip svg path")
    assert page.locator(".strip svg").first.evaluate("svg => svg.innerHTML") != before
    assert page.url.endswith("#do=predict&logo=probability")
    page.go_back()
    page.wait_for_selector('input[name="logo"][value="bits"]:checked')
    assert page.url.endswith("/") or page.url.endswith("#do=predict")


def test_the_downloaded_structure_is_the_api_s(visit: Visit) -> None:
    result = visit.ask("fold", TEXTS["fold"])["sequences"][0]
    page = visit.page
    assert page.inner_text("pre") == f"{RNA}\n{result['dot_bracket']}"
    lines = visit.saved(page.get_by_role("link", name=".dbn")).splitlines()
    assert [lines[-2], lines[-1].split()[0]] == [RNA, result["dot_bracket"]]
    for ending in (".ct", "rna.svg", ".arcs.svg"):
        assert visit.saved(page.get_by_role("link", name=ending))
    rows = list(csv.reader(io.StringIO(visit.saved(page.get_by_role("button", name="Download data").first))))
    assert [(int(i) - 1, int(j) - 1) for i, j, *_ in rows[1:]] == [(i, j) for i, j, _ in result["pairs"]]
    page.locator(".frame").first.focus()
    page.keyboard.press("ArrowRight")
    visit.wait_for("#readout", "G2 ")


def test_the_map_names_what_was_pasted(visit: Visit) -> None:
    result = visit.ask("embed", TEXTS["embed"])
    page = visit.page
    drawn = page.locator(".frame svg text").all_text_contents()
    assert {"one", "two", "three"} & set(drawn)  # names that would lie on one another are left out
    assert len(page.locator("section.picture tbody tr").all()) == len(result["nearest"])
    rows = list(csv.DictReader(io.StringIO(visit.saved(page.get_by_role("button", name="Download data")))))
    assert [float(row["x"]) for row in rows] == [point["x"] for point in result["points"]]


def test_a_click_mutates_and_undo_takes_it_back(visit: Visit) -> None:
    result = visit.ask("mutate", TEXTS["mutate"])
    page = visit.page
    page.focus(".strip")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    row = next(n for n in range(4) if result["delta"][4][n] is not None)
    for _ in range(row):
        page.keyboard.press("ArrowDown")
    again = visit.result("mutate", lambda: page.keyboard.press("Enter"))
    changed = RNA[:4] + result["symbols"][row].replace("T", "U") + RNA[5:]
    assert page.input_value("#fasta") == f">rna\n{changed}\n"
    assert again["letters"] == changed
    assert page.inner_text("#changes code") == f"{RNA[4]}5{result['symbols'][row]}"
    assert page.evaluate("document.activeElement.className").startswith("strip")  # the keyboard stays where it was
    box = page.locator(".strip rect").nth(40).bounding_box()
    visit.result("mutate", lambda: page.mouse.click(box["x"] + 4, box["y"] + 4))
    assert page.locator("#changes code").count() == 2
    page.get_by_role("button", name="Undo all 2").click()
    page.wait_for_selector("#changes", state="hidden")
    assert page.input_value("#fasta") == f">rna\n{RNA}\n"


def test_a_synonymous_codon_is_swapped_in(visit: Visit) -> None:
    result = visit.ask("codons", TEXTS["codons"])
    page = visit.page
    page.focus(".strip")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    shares = page.locator(".synonyms li").all_text_contents()
    assert len(shares) == 4  # alanine
    other = result["codons"][1]["alternatives"][0]["codon"]
    again = visit.result("codons", lambda: page.get_by_role("button", name=f"Put in {other}").click())
    assert page.input_value("#fasta") == f">cds\n{CDS[:3]}{other.replace('U', 'T')}{CDS[6:]}\n"
    assert again["protein"] == result["protein"]


def test_two_models_are_compared(visit: Visit) -> None:
    result = visit.ask("compare", TEXTS["compare"])["sequences"][0]
    rows = list(csv.DictReader(io.StringIO(visit.saved(visit.page.get_by_role("button", name="Download data")))))
    assert [float(row["ln_p_b_minus_a"]) for row in rows] == result["difference"]


def test_what_is_wrong_is_said_beside_the_sequences(visit: Visit) -> None:
    page = visit.page
    page.click("#run")
    assert "no sequence yet" in page.inner_text("#error")
    page.fill("#fasta", ">first\nACGU\n>second\nACGUJJJJJJ\n")
    assert page.is_hidden("#error")
    page.click("#run")
    page.wait_for_selector("#error:not([hidden])")
    said = page.inner_text("#error")
    assert "second" in said
    assert "letter 5" in said
    assert page.get_attribute("#fasta", "aria-invalid") == "true"


def test_a_name_is_never_markup(visit: Visit) -> None:
    visit.ask("predict", f"><img/src=x/onerror=alert(1)>\n{RNA}\n")
    assert visit.page.locator("#pictures img").count() == 0
    assert "<img" in visit.page.inner_text("#pictures h3")


def test_cancel_ends_the_job(visit: Visit) -> None:
    page = visit.page
    page.fill("#fasta", "".join(f">s{n}\n{letters(n, 1900)}\n" for n in range(10)))
    with page.expect_response("**/api/v1/predict") as started:
        page.click("#run")
    visit.wait_for("#progress-text", "done")
    page.click("#cancel")
    page.wait_for_selector("#progress", state="hidden")
    assert page.locator("#pictures").inner_text() == ""
    assert visit.job(started.value.json()["job"])["state"] == "cancelled"


def long_predictions(text: str) -> dict[str, Any]:
    rows = np.random.default_rng(1).dirichlet([0.3] * 4, len(text)).round(5).tolist()
    own = [row["ACGT".index(letter)] for row, letter in zip(rows, text, strict=True)]
    tokens = [{"start": n, "end": n + 1, "text": letter} for n, letter in enumerate(text)]
    known = {"symbols": list("ACGT"), "tokens": tokens, "probabilities": rows, "own": own}
    one = {"name": "long", "letters": text, "information_bits": [1.0] * len(text), "log_likelihood": -9.0, **known}
    return {"way": "masked", "sequences": [one]}


def long_structure(text: str) -> dict[str, Any]:
    length = len(text)
    pairs = [[n, length - 1 - n, 0.5 + 0.4 * (n % 2)] for n in range(length // 2 - 2)]
    layout = [[float(min(n, length - 1 - n)), float(n * 2 >= length)] for n in range(length)]
    drawn = {"dot_bracket": "." * length, "pairs": pairs, "probable": pairs, "layout": layout}
    return {"way": "head", "note": "", "sequences": [{"name": "long", "letters": text, "energy": None, **drawn}]}


@pytest.mark.parametrize(
    ("kind", "answer", "nodes"), [("predict", long_predictions, 4000), ("fold", long_structure, 6000)]
)
def test_ten_thousand_letters_are_drawn_as_far_as_they_are_seen(
    visit: Visit, kind: str, answer: Any, nodes: int
) -> None:
    text = letters(5, 10_000)
    page = visit.page
    page.route(f"**/api/v1/{kind}", lambda route: route.fulfill(status=202, json={"job": "x"}))
    page.route("**/api/v1/jobs/x/files", lambda route: route.fulfill(json={"files": []}))
    done = {"state": "done", "total": 1, "done": 1, "result": answer(text)}
    page.route("**/api/v1/jobs/x", lambda route: route.fulfill(json=done))
    page.fill("#fasta", f">long\n{text}\n")
    page.check(f'#kinds input[value="{kind}"]')
    page.click("#run")
    page.wait_for_selector(f'#pictures[data-kind="{kind}"]:not([aria-busy])')
    assert 0 < page.locator("#pictures svg *").count() < nodes
    page.locator('[role="application"]').first.focus()
    page.keyboard.press("End")
    visit.wait_for("#readout", "10\u202f000" if kind == "predict" else "10000")
    assert page.locator("#pictures svg *").count() < 2 * nodes


def test_a_link_restores_the_settings_and_short_sequences(visit: Visit) -> None:
    page = visit.open("#do=codons&bundle=b&code=11&logo=nonsense")
    assert page.is_checked('#kinds input[value="codons"]')
    assert page.input_value("#bundle") == "b"
    assert page.input_value("#code") == "11"
    page.check('#kinds input[value="fold"]')
    page.go_back()
    page.wait_for_selector('#kinds input[value="codons"]:checked')
    page = visit.open(f"#do=predict&fasta=%3Erna%0A{RNA}%0A")
    page.wait_for_selector('#pictures[data-kind="predict"]')
    assert page.input_value("#fasta") == TEXTS["predict"]


def test_the_link_holds_sequences_only_if_asked(visit: Visit) -> None:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.ask("predict", TEXTS["predict"])
    page = visit.page
    for with_sequences in (False, True):
        page.set_checked("#with", with_sequences)
        page.click("#link")
        visit.wait_for("#link", "Copied")
        visit.wait_for("#link", "Copy link")
        assert (RNA in page.evaluate("navigator.clipboard.readText()")) == with_sequences
    assert RNA not in page.url


def test_colours_follow_the_system_until_told_otherwise(chromium: Any, address: str) -> None:
    visit = Visit(chromium, address, color_scheme="dark")
    page = visit.open()
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.click("#theme")
    light = page.evaluate(paper)
    assert light != dark
    page = visit.open()
    assert page.evaluate(paper) == light
    page.emulate_media(color_scheme="light")
    page.click("#theme")
    assert page.evaluate(paper) == dark
    visit.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_phone_needs_no_sideways_scrolling(chromium: Any, address: str, kind: str) -> None:
    visit = Visit(chromium, address, viewport=PHONE, reduced_motion="reduce")
    page = visit.open()
    visit.ask(kind, TEXTS[kind])
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    visit.close()


def test_paper_shows_the_pictures_alone(visit: Visit) -> None:
    visit.ask("predict", TEXTS["predict"])
    visit.page.emulate_media(media="print")
    assert visit.page.is_hidden("#ask")
    assert visit.page.is_visible(".strip svg")
    assert visit.page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing_serious(chromium: Any, address: str, kind: str, scheme: str) -> None:
    source = axe()
    visit = Visit(chromium, address, color_scheme=scheme)
    page = visit.open()
    assert violations(page, source) == []
    visit.ask(kind, TEXTS[kind])
    page.locator("details summary").first.click()
    page.wait_for_selector("details table", timeout=PATIENCE)
    if kind == "codons":
        page.locator(".strip").press("Enter")
    assert violations(page, source) == []
    visit.close()
