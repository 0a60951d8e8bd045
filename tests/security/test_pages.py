"""Names that hold HTML reach no page as HTML: model cards, reports, pictures."""

import re
from html.parser import HTMLParser

import pytest

from nuclex.bundle.card import model_card
from nuclex.bundle.record import Record
from nuclex.evaluation.report import Figure, Headline, Report, Section, Step, Table, Verdict, render
from nuclex.models import LanguageModel, RinalmoConfig
from nuclex.tokenizers import NucleotideConfig

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</style><script>alert(1)</script>",
    "<iframe src=//evil.example>",
    "{{ 7 * 7 }}{% raw %}",
    "<!--\n\n# Another title\n\n-->",
)


class Tags(HTMLParser):
    """The elements of a page and their attributes."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.attributes = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [name for name, _ in attrs]


def page_of(text):
    table = Table((text, "n"), ((text, 1), ("b", text)), caption=text, notes=(text,), name="x")
    picture = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1'><text>a</text></svg>"
    figure = Figure("x", text, picture, table, caption=text, alt=text)
    section = Section(
        title=text,
        text=text,
        figures=(figure,),
        tables=(table,),
        verdicts=(Verdict(True, text),),
        steps=(Step(text, text),),
    )
    facts = {text: text, "nested": {text: [text, text]}}
    return render(Report(text, text, (Headline(text, text, text),), (section,), facts, text, (Verdict(False, text),)))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_report_shows_it_as_text(text):
    plain, hostile = Tags(page_of("plain")), Tags(page_of(text))
    assert hostile.elements.count("script") == plain.elements.count("script") == 0
    assert set(hostile.elements) == set(plain.elements)
    assert not [name for name in hostile.attributes if name.startswith("on")]
    assert "{{ 7" not in text or "49" not in re.sub(r"<style>.*?</style>", "", page_of(text), flags=re.DOTALL)
    assert "default-src 'none'" in page_of(text)


def card_of(text):
    tokenizer = NucleotideConfig().build()
    ids = {"pad_id": tokenizer.pad_id, "mask_id": tokenizer.mask_id}
    model = LanguageModel(RinalmoConfig(depth=1, width=8, heads=2).backbone(), vocabulary_size=len(tokenizer), **ids)
    corpus = {"sources": [{"name": text, text: 1}], text: text, "seed": 0}
    record = Record({"a": text}, {"host": text}, {text: 1.0, "b": text}, corpus, text, text, (text,))
    return model_card(model, tokenizer, record, {"labels": [text]})


@pytest.mark.parametrize("text", HOSTILE)
def test_a_model_card_shows_it_as_text(text):
    card = card_of(text)
    outside_code = re.sub(r"```.*?```|`[^`\n]*`", "", card, flags=re.DOTALL)
    _, front_matter, body = outside_code.split("---\n", 2)
    own = ("<br>", "<details>\n<summary>The whole recipe</summary>", "</details>")
    for tag in own:
        body = body.replace(tag, "")
    assert "<" not in body
    assert "# Another title" not in body.splitlines()
    assert front_matter.count("license:") == 1


def test_a_model_card_keeps_the_names_of_special_tokens():
    assert f"`{NucleotideConfig().build().special.mask}`" in card_of("plain")
