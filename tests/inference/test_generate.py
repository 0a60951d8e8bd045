"""Generation against a loop without cache that is written down here, and what it promises about seeds and batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nuclex.bundle import Bundle, Record, write_bundle
from nuclex.cli.main import run
from nuclex.core.errors import InputError
from nuclex.core.randomness import key, uniform
from nuclex.data.read import read_sequences
from nuclex.inference.generate import GenerateConfig, Generated, generate, generate_sequences
from nuclex.models import MODELS, LanguageModel, Layout, RinalmoConfig
from nuclex.tokenizers import CodonConfig, KmerConfig, NucleotideConfig, Tokenizer

NUCLEOTIDES = NucleotideConfig().build()
CODONS = CodonConfig(frame=0).build()
SIZES = {"depth": 2, "width": 16}
SMALL = {"state_size": 8, "head_size": 8, "chunk": 8}
MODELS_OF: dict[str, dict[str, Any]] = {
    "gpt2": {"kind": "gpt2", "heads": 2, "inner": 32, "max_positions": 40},
    "rotary": {"kind": "gpt2", "heads": 2, "inner": 32, "positions": "rotary"},
    "relative": {"kind": "gpt2", "heads": 2, "inner": 32, "positions": "relative"},
    "mamba": {"kind": "mamba"},
    "mamba2": {"kind": "mamba", "version": 2, "state_space": SMALL, "inner": 24},
    "hyena": {"kind": "hyena", "inner": 32},
    "hybrid": {"kind": "mamba", "attention_every": 2, "heads": 2},
}
LONGEST = 40


def made(name: str, tokenizer: Tokenizer = NUCLEOTIDES, **settings: Any) -> Bundle:
    """A bundle in memory whose random weights all matter."""
    config = MODELS.parse({**SIZES, **MODELS_OF[name], **settings}).backbone()
    torch.manual_seed(1)
    ids = {"pad_id": tokenizer.pad_id, "mask_id": tokenizer.mask_id}
    model = LanguageModel(config, vocabulary_size=len(tokenizer), **ids).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.15 * torch.randn_like(value))
    record = Record({"sampling": {"max_tokens": LONGEST}}, {}, {}, None, "tiny")
    return Bundle(model, tokenizer, record, None, Path("tiny"))


def one_by_one(bundle: Bundle, number: int, config: GenerateConfig, prompt: str = "") -> Generated:
    """The plainest way: the whole sequence is read again for every token, and every rule is a loop."""
    tokenizer, model = bundle.tokenizer, bundle.model
    ids, drawn, likelihood = tokenizer.encode(prompt, end=False).tolist(), 0, 0.0
    stream, size = key(config.seed, "generate"), config.no_repeat_ngram
    while len(ids) < (config.max_tokens or LONGEST) and ids[-1] != tokenizer.eos_id:
        with torch.no_grad():
            logits = model(torch.tensor(ids), Layout.of([len(ids)]))[-1].double().numpy()
        chances = np.exp(logits - logits.max())
        before = np.log(chances / chances.sum())
        possible = [i for i in range(len(tokenizer)) if i not in tokenizer.special_ids or i == tokenizer.eos_id]
        if len(ids) == 1:
            possible.remove(tokenizer.eos_id)
        seen = {tuple(ids[i : i + size]) for i in range(len(ids) - size + 1)} if size else set()
        possible = [i for i in possible if (*ids[len(ids) - size + 1 :], i) not in seen]
        if config.temperature == 0:
            token = max(possible, key=lambda i: logits[i])
        else:
            possible.sort(key=lambda i: -logits[i])
            possible = possible[: config.top_k or None]
            weights = np.exp((logits[possible] - logits.max()) / config.temperature)
            weights /= weights.sum()
            kept = int((np.cumsum(weights) - weights < config.top_p).sum())
            order = np.argsort(possible[:kept])
            sums = np.cumsum(weights[:kept][order])
            point = uniform(stream, number, len(ids)) * sums[-1]
            token = int(np.array(possible)[:kept][order][int((sums <= point).sum())])
        ids.append(token)
        drawn, likelihood = drawn + 1, likelihood + before[token]
    ended = ids[-1] == tokenizer.eos_id
    return Generated(f"generated_{number + 1}", tokenizer.decode(np.array(ids)), likelihood, drawn, ended)


def same(found: Generated, wanted: Generated) -> bool:
    alike = (found.id, found.sequence, found.tokens, found.ended)
    close = abs(found.log_likelihood - wanted.log_likelihood) < 1e-4 * max(1.0, abs(wanted.log_likelihood))
    return alike == (wanted.id, wanted.sequence, wanted.tokens, wanted.ended) and close


RULES = [
    {},
    {"temperature": 0.0},
    {"temperature": 0.0, "no_repeat_ngram": 2},
    {"temperature": 0.7, "top_k": 4},
    {"temperature": 1.6, "top_p": 0.8, "seed": 3},
    {"top_k": 10, "top_p": 0.95, "no_repeat_ngram": 3, "seed": 9, "max_tokens": 31},
]


@pytest.mark.parametrize("name", MODELS_OF)
def test_with_a_cache_as_without(name: str) -> None:
    bundle = made(name)
    for number, rules in enumerate(RULES if name == "gpt2" else RULES[-1:]):
        config = GenerateConfig(count=6, prompt="ACGGT"[:number], **rules)
        found = list(generate_sequences(bundle, config))
        wanted = [one_by_one(bundle, place, config, "ACGGT"[:number]) for place in range(6)]
        assert all(map(same, found, wanted)), rules
        assert len({item.sequence for item in found}) > 1 or config.temperature == 0


@pytest.mark.parametrize("name", MODELS_OF)
def test_scores_of_a_cache_are_those_of_the_whole_after_some_have_left(name: str) -> None:
    model = made(name).model
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(5, 22, (length,), generator=generator) for length in (3, 9, 1, 6)]
    more = torch.randint(5, 22, (8, 4), generator=generator)
    with torch.no_grad():
        logits, cache = model.prefill(torch.cat(rows), Layout.of([len(row) for row in rows]))
        here = [0, 1, 2, 3]
        for step, tokens in enumerate(more):
            for row, found in zip(here, logits, strict=True):
                whole = model(rows[row], Layout.of([len(rows[row])]))[-1]
                assert torch.allclose(found, whole, atol=1e-4), (name, step)
            if step in (2, 5):
                kept = torch.tensor([number != step % 3 for number in range(len(here))])
                here = [row for row, keep in zip(here, kept, strict=True) if keep]
                cache.keep(kept)
            rows = [torch.cat([row, tokens[n : n + 1]]) if n in here else row for n, row in enumerate(rows)]
            logits = model.step(tokens[here], cache)


def test_neither_batch_nor_company_matters() -> None:
    bundle = made("rotary")
    whole = list(generate_sequences(bundle, GenerateConfig(count=23, seed=4)))
    for batch in (1, 5, 23):
        found = list(generate_sequences(bundle, GenerateConfig(count=23, seed=4, batch=batch)))
        assert all(map(same, found, whole))
    fewer = list(generate_sequences(bundle, GenerateConfig(count=9, seed=4)))
    assert all(map(same, fewer, whole[:9]))
    other = list(generate_sequences(bundle, GenerateConfig(count=23, seed=5)))
    assert not {item.sequence for item in other} & {item.sequence for item in whole if item.tokens > 12}
    assert len({item.sequence for item in whole if item.tokens > 12}) == sum(item.tokens > 12 for item in whole)


def test_unused_and_special_tokens_are_never_drawn() -> None:
    bundle = made("gpt2", vocabulary_multiple=8, tied=False)
    assert bundle.model.vocabulary_size == 24
    assert bundle.model.head is not None
    with torch.no_grad():
        bundle.model.head.decoder.weight[[22, 23, *NUCLEOTIDES.special_ids.tolist()]] *= (
            30  # loud, one way or the other
        )
    for rules in ({}, {"temperature": 0.0}, {"top_k": 1}, {"top_p": 1e-9}):
        for item in generate_sequences(bundle, GenerateConfig(count=20, **rules)):
            assert item.sequence
            assert set(item.sequence) <= set(NUCLEOTIDES.vocabulary)
            assert item.tokens == len(item.sequence) + item.ended


def test_what_ends_has_the_likelihood_of_the_whole_sequence() -> None:
    bundle = made("hybrid")
    found = [item for item in generate_sequences(bundle, GenerateConfig(count=40)) if item.ended]
    assert len(found) > 3
    for item in found:
        ids = torch.from_numpy(NUCLEOTIDES.encode(item.sequence))
        with torch.no_grad():
            log_p = bundle.model(ids[:-1], Layout.of([len(ids) - 1])).log_softmax(-1)
        assert float(log_p.gather(1, ids[1:, None]).sum()) == pytest.approx(item.log_likelihood, rel=1e-4)


def test_codons_and_prompts_of_unequal_length() -> None:
    bundle = made("gpt2", CODONS)
    prompts = [("long", b"AUGGCCAAATTT"), ("none", b""), ("short", b"atg")]
    config = GenerateConfig(count=3, max_tokens=20, seed=1)
    found = list(generate_sequences(bundle, config, prompts))
    names = [f"{name}_{turn}" for name, _ in prompts for turn in (1, 2, 3)]
    assert [item.id for item in found] == names
    for number, item in enumerate(found):
        prompt = prompts[number // 3][1].decode()
        assert item.sequence.startswith(prompt.upper().replace("U", "T"))
        assert len(item.sequence) % 3 == 0
        wanted = one_by_one(bundle, number, config, prompt)
        assert (item.sequence, item.tokens) == (wanted.sequence, wanted.tokens)
    frame = made("gpt2", CodonConfig(frame=1, remainder="trim").build())
    item = next(generate_sequences(frame, GenerateConfig(prompt="uATGGCC", max_tokens=5)))
    assert item.sequence.startswith("TATGGCC"), "what stands before the frame stays"


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    bundle, out = made("gpt2"), tmp_path / "made.fa"
    told = generate(bundle, out, {"count": 5, "temperature": 0.9})
    records = list(read_sequences(out))
    expected = list(generate_sequences(bundle, GenerateConfig(count=5, temperature=0.9)))
    assert [record.sequence.decode() for record in records] == [item.sequence for item in expected]
    for record, item in zip(records, expected, strict=True):
        facts = dict(word.split("=") for word in record.description.split()[1:])
        assert record.id == item.id
        assert float(facts["log_likelihood"]) == pytest.approx(item.log_likelihood, abs=1e-4)
        assert (int(facts["tokens"]), facts["ended"]) == (item.tokens, "yes" if item.ended else "no")
    counts = {"sequences": 5, "tokens": sum(i.tokens for i in expected), "ended": sum(i.ended for i in expected)}
    assert told == {"out": str(out), **counts}


@pytest.mark.parametrize(
    ("settings", "prompts", "sentence"),
    [
        ({"prompt": "ACGX!"}, None, r"prompt 'generated': .*"),
        ({"prompt": "A" * 39}, None, r"prompt 'generated': has 40 tokens with <cls>, which of 40 leaves none to draw"),
        ({"max_tokens": 41}, None, r"max_tokens: found 41; this model has 40 positions"),
        ({"prompt": "A"}, "p.fa", r"prompt: give either one prompt or a file of prompts, not both"),
        ({}, "p.fa", r"prompt 'b': .*unknown"),
        ({"temperature": -1.0}, None, r"temperature: .*greater than or equal to 0, found -1"),
        ({"top_q": 1}, None, r"top_q: unknown key"),
    ],
)
def test_what_cannot_be_leaves_nothing(tmp_path: Path, settings: dict, prompts: str | None, sentence: str) -> None:
    (tmp_path / "p.fa").write_text(">a\nACG\n>b\nXXXX\n")
    with pytest.raises(InputError, match=sentence):
        generate(made("gpt2"), tmp_path / "out.fa", settings, prompts=prompts and tmp_path / prompts)
    assert [path.name for path in tmp_path.iterdir()] == ["p.fa"]


def test_unknown_letters_and_remainders_of_a_prompt_are_refused() -> None:
    loose = NucleotideConfig(max_unknown_share=1.0).build()
    with pytest.raises(InputError, match=r"prompt 'generated': the tokenizer does not read all of .+ 'X' at 2 is none"):
        next(generate_sequences(made("gpt2", loose), GenerateConfig(prompt="ACX")))
    for remainder in ("trim", "unknown"):
        bundle = made("gpt2", CodonConfig(frame=0, remainder=remainder).build())
        with pytest.raises(InputError, match="does not read all of its letters as tokens; 'A' at 3 is none"):
            next(generate_sequences(bundle, GenerateConfig(prompt="ATGA")))


def test_models_and_tokenizers_that_cannot_generate_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bundle: this model sees both sides of every token; only a causal one can"):
        generate(tiny_bundle, tmp_path / "out.fa")
    with pytest.raises(InputError, match="its tokens overlap, so that one drawn token can contradict another"):
        generate(made("gpt2", KmerConfig(k=3, stride=1).build()), tmp_path / "out.fa")
    assert len(list(generate_sequences(made("gpt2", KmerConfig(k=3).build()), GenerateConfig(count=2)))) == 2
    assert not RinalmoConfig().backbone().causal
    assert not list(tmp_path.iterdir())


def test_as_it_is_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = made("gpt2")
    write_bundle(tmp_path / "bundle", bundle.model, bundle.tokenizer, bundle.record)
    flags = "--prompt ACG --count 4 --top-k 10 --top-p 0.95 --temperature 0.8 --no-repeat-ngram 5 --seed 2 --json"
    arguments = [str(tmp_path / "bundle"), "--out", str(tmp_path / "a.fa"), "--device", "cpu"]
    assert run(["generate", *arguments, *flags.split()]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sequences"] == 4
    config = GenerateConfig(prompt="ACG", count=4, top_k=10, top_p=0.95, temperature=0.8, no_repeat_ngram=5, seed=2)
    expected = list(generate_sequences(bundle, config))
    assert [record.sequence.decode() for record in read_sequences(tmp_path / "a.fa")] == [e.sequence for e in expected]
    (tmp_path / "p.fa").write_text(">x\nACGT\n>y\nGG\n")
    assert run(["generate", *arguments, "--prompts", str(tmp_path / "p.fa"), "--max-tokens", "12"]) == 0
    assert [record.id for record in read_sequences(tmp_path / "a.fa")] == ["x_1", "y_1"]


def test_the_smallest_temperature_is_greedy() -> None:
    bundle = made("gpt2")
    cold, greedy = (
        [item.sequence for item in generate_sequences(bundle, GenerateConfig(count=3, max_tokens=8, temperature=value))]
        for value in (1e-320, 0.0)
    )
    assert cold == greedy
