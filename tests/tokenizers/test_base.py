import hashlib
import json

import pytest

from nuclex.core.errors import CorruptError, InputError
from nuclex.tokenizers import (
    TOKENIZERS,
    CodonConfig,
    NucleotideConfig,
    load_tokenizer,
    save_tokenizer,
    tokenizer_hash,
)


def test_kinds():
    assert TOKENIZERS.names() == ["amino-acid", "bpe", "codon", "kmer", "nucleotide", "unigram", "wordpiece"]
    config = TOKENIZERS.parse({"kind": "codon", "frame": 1, "alphabet": "rna"})
    assert config == CodonConfig(frame=1, alphabet="rna")


def test_files_name_all_seven_special_tokens_and_the_policy(tmp_path):
    save_tokenizer(CodonConfig(frame=0, max_unknown_share=0.25).build(), tmp_path / "new", max_length=512)
    stored = json.loads((tmp_path / "new" / "tokenizer_config.json").read_text())
    assert {key: value for key, value in stored.items() if key.endswith("_token")} == {
        "bos_token": "<cls>",
        "eos_token": "<eos>",
        "unk_token": "<unk>",
        "sep_token": "<eos>",
        "pad_token": "<pad>",
        "cls_token": "<cls>",
        "mask_token": "<mask>",
    }
    assert stored["extra_special_tokens"] == ["<distill_token>"]
    assert stored["model_max_length"] == 512
    assert stored["nuclex"] == {
        "kind": "codon",
        "case": "upper",
        "alphabet": "dna",
        "max_unknown_share": 0.25,
        "frame": 0,
        "remainder": "error",
        "compatibility": "none",
    }
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["tokenizer.json", "tokenizer_config.json"]


def test_hash_is_that_of_the_file_and_follows_the_ids(tmp_path):
    tokenizer = NucleotideConfig().build()
    save_tokenizer(tokenizer, tmp_path)
    assert tokenizer_hash(tokenizer) == hashlib.sha256((tmp_path / "tokenizer.json").read_bytes()).hexdigest()
    assert tokenizer_hash(NucleotideConfig(max_unknown_share=0.5).build()) == tokenizer_hash(tokenizer)
    others = [NucleotideConfig(alphabet="rna"), NucleotideConfig(case="keep"), CodonConfig(frame=0)]
    assert len({tokenizer_hash(tokenizer), *(tokenizer_hash(config.build()) for config in others)}) == 4


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"tokenizer_config.json: no such file"):
        load_tokenizer(tmp_path)
    save_tokenizer(NucleotideConfig().build(), tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer.json: no such file"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("tokenizer_config.json", b"{", CorruptError, "is not readable JSON"),
        ("tokenizer_config.json", b"\xff\xfe", CorruptError, "is not readable JSON"),
        ("tokenizer_config.json", b"{}", InputError, "no key 'nuclex'"),
        ("tokenizer_config.json", b"[]", InputError, "no key 'nuclex'"),
        ("tokenizer_config.json", b'{"nuclex": {"kind": "morse"}}', InputError, "unknown kind 'morse'"),
        (
            "tokenizer_config.json",
            b'{"nuclex": {"kind": "nucleotide", "case": "lower"}}',
            CorruptError,
            "nuclex.case: .* found 'lower'",
        ),
        (
            "tokenizer_config.json",
            b'{"nuclex": {"kind": "codon", "frame": 0}}',
            CorruptError,
            "22 tokens are not the 70",
        ),
        ("tokenizer.json", b"{}", CorruptError, "tokenizer.json: is not a readable tokenizer"),
        ("tokenizer.json", b"[]", CorruptError, "is not a readable tokenizer"),
        ("tokenizer.json", b"\xff\xfe", CorruptError, "is not UTF-8 text"),
        ("tokenizer.json", b'{"model": {"vocab": {"A": 0, "C": 0}}}', CorruptError, "ids are not 0, 1, 2"),
        ("tokenizer.json", b'{"model": {"vocab": {"A": 0, "C": "1"}}}', CorruptError, "is not a readable tokenizer"),
    ],
)
def test_damaged_files_are_refused(tmp_path, name, content, error, message):
    save_tokenizer(NucleotideConfig().build(), tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        load_tokenizer(tmp_path)
