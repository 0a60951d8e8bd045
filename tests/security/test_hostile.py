"""Hostile files: each of them would leave a mark if anything in it were executed; none does, and each is refused.

A payload makes its file and says how a person would open it. It must be answered by one sentence, soon, and without a
mark. ``pytest -s`` prints how many payloads of which sort there are.
"""

import builtins
import gzip
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from nuclex.bundle import load
from nuclex.core.artifact import MANIFEST, write_manifest
from nuclex.core.config import load_config
from nuclex.core.errors import NuclexError
from nuclex.core.progress import quiet
from nuclex.data.corpus import CorpusConfig
from nuclex.data.read import read_sequences
from nuclex.data.store import Corpus
from nuclex.data.unpack import unpack_archive
from nuclex.tokenizers import load_tokenizer
from nuclex.training.pretrain import PretrainConfig

SECONDS = 10  # of processor time, so that what runs beside it does not count; most take a fraction of one
PAYLOADS = {}


def payload(sort, **variants):
    """Register a maker of payloads: ``make(place, value)`` returns the opener, for each value by its name."""

    def register(make):
        for name, value in (variants or {"": None}).items():
            PAYLOADS[f"{sort}: {make.__name__.replace('_', ' ')}{' ' if name else ''}{name}"] = (make, value)
        return make

    return register


class Place:
    """Where a payload is made: an empty folder, the mark it would leave, and sound artefacts to spoil."""

    def __init__(self, folder, bundle, corpus, roberta):
        self.folder, self.mark = folder / "here", folder / "mark"
        self.folder.mkdir()
        self._bundle, self._corpus, self._roberta = bundle, corpus, roberta

    @property
    def code(self):
        return f"open({str(self.mark)!r}, 'w').close()"

    def file(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def spoiled(self, kind, spoil):
        """Open a copy of a sound artefact after ``spoil(path)``, behind sums that agree with it."""
        origin, opener = {"bundle": (self._bundle, load), "corpus": (self._corpus, read_corpus)}[kind]
        path = Path(shutil.copytree(origin, self.folder / kind))
        spoil(path)
        write_manifest(path)
        return partial(opener, path)

    def foreign(self, spoil):
        """Import a copy of a RoBERTa of transformers after ``spoil(path)``."""
        from nuclex.hub import import_transformers

        path = Path(shutil.copytree(self._roberta, self.folder / "roberta"))
        spoil(path)
        return partial(import_transformers, path)


def imported(path):
    from nuclex.hub import import_bundle

    return import_bundle(path, path.with_name("bundle"))


def read_corpus(path):
    corpus = Corpus.open(path)
    return [corpus.sequence(row) for row in range(len(corpus))], corpus.clusters, corpus.split_codes, corpus.sources


# ---- pickles ----


class Call:
    """An object whose pickle calls something."""

    def __init__(self, function, *arguments):
        self.what = (function, arguments)

    def __reduce__(self):
        return self.what


def gadgets(place):
    """Objects that leave the mark when they are unpickled, by the way in which they do."""
    mark = str(place.mark)
    return {
        "os.system": Call(os.system, f"touch {mark}"),
        "exec": Call(exec, place.code),
        "eval": Call(eval, place.code),
        "Popen": Call(subprocess.Popen, ["touch", mark]),
        "open": Call(open, mark, "w"),
        "touch": Call(Path.touch, Path(mark)),
        "getattr": Call(getattr(builtins, "exec"), place.code),  # noqa: B009
        "nested": {"state_dict": [torch.zeros(2), Call(exec, place.code)]},
    }


def raw(value, protocol):
    return pickle.dumps(value, protocol=protocol)


def torch_file(value, *, zipped):
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def legacy_tar(value):
    """A file as torch wrote it before 2017: a tar file of pickles."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(value)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


GADGETS = ("os.system", "exec", "eval", "Popen", "open", "touch", "getattr", "nested")


@payload("pickle", **{f"protocol {number}": number for number in range(6)})
def in_place_of_the_weights_of_a_bundle(place, protocol):
    content = raw(gadgets(place)["exec"], protocol)
    return place.spoiled("bundle", lambda path: (path / "model.safetensors").write_bytes(content))


@payload("pickle", **{name: name for name in GADGETS})
def in_the_weights_of_a_foreign_model(place, gadget):
    def spoil(path):
        (path / "model.safetensors").unlink()
        (path / "pytorch_model.bin").write_bytes(torch_file(gadgets(place)[gadget], zipped=True))

    return place.foreign(spoil)


@payload("pickle", **{name: name for name in GADGETS})
def in_one_of_rinalmos_files(place, gadget):
    path = place.file("rinalmo_giga_pretrained.pt", torch_file(gadgets(place)[gadget], zipped=True))
    return partial(imported, path)


FORMS = {
    "legacy": lambda value: torch_file(value, zipped=False),
    "legacy tar": legacy_tar,
    "bare": lambda value: raw(value, 4),
    "compressed": lambda value: gzip.compress(raw(value, 4)),
}


@payload("pickle", **FORMS)
def in_another_form_in_a_foreign_model(place, form):
    def spoil(path):
        (path / "model.safetensors").unlink()
        (path / "pytorch_model.bin").write_bytes(form(gadgets(place)["exec"]))

    return place.foreign(spoil)


@payload("pickle", **FORMS)
def in_another_form_in_one_of_rinalmos_files(place, form):
    return partial(imported, place.file("rinalmo.pt", form(gadgets(place)["exec"])))


EXTRA = ("pytorch_model.bin", "model.pt", "last.ckpt", "scaler.pkl", "x.joblib", "x.npy", "x.pth", "optimizer.bin")


@payload("pickle", **{name: name for name in EXTRA})
def beside_the_weights_of_a_bundle(place, name):
    content = torch_file(gadgets(place)["exec"], zipped=True)
    return place.spoiled("bundle", lambda path: (path / name).write_bytes(content))


@payload("pickle", fasta="x.fa", csv="x.csv", parquet="x.parquet", npz="x.npz")
def in_place_of_sequences(place, name):
    path = place.file(name, raw(gadgets(place)["exec"], 4))
    return lambda: list(read_sequences(path))


@payload("pickle")
def in_an_npz_of_objects(place, _):
    array = np.array([gadgets(place)["exec"]], dtype=object)
    file = io.BytesIO()
    np.savez(file, sequence=array)
    path = place.file("x.npz", file.getvalue())
    return lambda: list(read_sequences(path))


@payload("pickle", corpus="corpus.json", recipe="recipe.toml", yaml="recipe.yaml")
def in_place_of_a_text(place, name):
    content = raw(gadgets(place)["exec"], 0)
    if name == "corpus.json":
        return place.spoiled("corpus", lambda path: (path / name).write_bytes(content))
    return partial(load_config, PretrainConfig, place.file(name, content))


# ---- code beside a model ----

CODE_FILES = ("modeling_evil.py", "__init__.py", "conftest.py", "sitecustomize.py", "evil.so", "evil.pyc", "run.sh")


@payload("code", **{name: name for name in CODE_FILES})
def in_a_bundle(place, name):
    return place.spoiled("bundle", lambda path: (path / name).write_text(place.code))


AUTO_MAP = {"AutoModelForMaskedLM": "evil.Model", "AutoConfig": "evil.Config", "AutoTokenizer": ["evil.T", "evil.T"]}


def add_keys(path, **keys):
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}, indent=2, ensure_ascii=False) + "\n")


@payload("code", model="config.json", tokenizer="tokenizer_config.json")
def named_by_auto_map_in_a_bundle(place, name):
    return place.spoiled("bundle", lambda path: add_keys(path / name, auto_map=AUTO_MAP))


@payload("code", present="evil.py", remote="someone/evil--modeling.Model")
def named_by_auto_map_in_a_foreign_tokenizer(place, where):
    def spoil(path):
        (path / "evil.py").write_text(f"{place.code}\nclass T: pass\nModel = Config = T\n")
        prefix = "someone/evil--" if where.startswith("someone") else ""
        names = [f"{prefix}evil.T", f"{prefix}evil.T"]
        add_keys(path / "tokenizer_config.json", auto_map={"AutoTokenizer": names}, tokenizer_class="T")
        add_keys(path / "config.json", auto_map={"AutoConfig": f"{prefix}evil.Config"}, model_type="evil")
        (path / "tokenizer.json").unlink()

    return place.foreign(spoil)


# ---- recipes ----

YAML = {
    "apply": "a: !!python/object/apply:os.system ['touch MARK']",
    "new": "a: !!python/object/new:subprocess.Popen [['touch', 'MARK']]",
    "object": "a: !!python/object:nuclex.core.recipe.Recipe {path: x}",
    "name": "a: !!python/name:os.system",
    "module": "a: !!python/module:antigravity",
    "tuple": "a: !!python/tuple [1, 2]",
    "apply as a key": "? !!python/object/apply:os.system ['touch MARK']\n: 1",
    "apply in a list": "a: [1, !!python/object/apply:builtins.exec [\"open('MARK','w')\"]]",
    "a tag of its own": "%TAG ! tag:yaml.org,2002:python/\n---\na: !object/apply:os.system ['touch MARK']",
    "ruby": "a: !ruby/object:Gem::Installer {i: x}",
    "laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{n}: &{n} [{','.join(['*' + p] * 9)}]\n" for p, n in zip("abcdefghi", "bcdefghij", strict=True)),
    "merged laughs": "a: &a {x: 1}\n"
    + "".join(f"{n}: &{n} {{<<: [{','.join(['*' + p] * 9)}]}}\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)),
    "itself": "a: &a [*a]",
    "depth": "a: " + "[" * 20_000 + "]" * 20_000,
    "number": "seed: " + "9" * 50_000,
}


@payload("recipe", **YAML)
def yaml_with(place, text):
    path = place.file("recipe.yaml", text.replace("MARK", str(place.mark)))
    return partial(load_config, PretrainConfig, path)


TOML = {
    "depth": "a = " + "[" * 20_000 + "]" * 20_000,
    "tables": "a = " + "{b=" * 5000 + "1" + "}" * 5000,
    "number": "seed = " + "9" * 50_000,
    "hexadecimal": "seed = 0x" + "f" * 50_000,
    "infinity": "split.validation = inf",
    "not a number": "split.validation = nan",
    "dots": ".".join("a" * 20_000) + " = 1",
    "size": "# " + "x" * (5 << 20),
    "zero": "a = '\x00'",
}


@payload("recipe", **TOML)
def toml_with(place, text):
    return partial(load_config, CorpusConfig, place.file("recipe.toml", text))


# ---- JSON of artefacts ----

JSON = {
    "depth": b'{"nuclex": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number": b'{"nuclex": ' + b"9" * 100_000 + b"}",
    "infinity": b'{"nuclex": 1e999}',
    "NaN": b'{"nuclex": NaN}',
    "a key twice": b'{"nuclex": {}, "nuclex": {}}',
    "no text": b"\xff\xfe\x00",
    "a list": b"[1]",
}


@payload("json", **JSON)
def in_the_config_of_a_bundle(place, content):
    return place.spoiled("bundle", lambda path: (path / "config.json").write_bytes(content))


@payload("json", **JSON)
def in_the_record_of_a_bundle(place, content):
    return place.spoiled("bundle", lambda path: (path / "nuclex.json").write_bytes(content))


@payload("json", **JSON)
def in_a_tokenizer(place, content):
    return place.spoiled("bundle", lambda path: (path / "tokenizer_config.json").write_bytes(content))


@payload("json", **JSON)
def in_a_manifest(place, content):
    open_it = place.spoiled("bundle", lambda path: None)
    (place.folder / "bundle" / MANIFEST).write_bytes(content)
    return open_it


@payload("json", **JSON)
def in_a_corpus(place, content):
    return place.spoiled("corpus", lambda path: (path / "corpus.json").write_bytes(content))


def long_text(path):
    with path.open("r+b") as file:
        file.truncate(3 << 30)  # a hole: takes no room on the disk


@payload("json", config="config.json", tokenizer="tokenizer.json", card="README.md", record="nuclex.json")
def three_gigabytes_of_zeros_in(place, name):
    path = Path(shutil.copytree(place._bundle, place.folder / "bundle"))
    long_text(path / name)
    return partial(load, path)


@payload("json")
def a_manifest_of_three_gigabytes(place, _):
    path = Path(shutil.copytree(place._bundle, place.folder / "bundle"))
    long_text(path / MANIFEST)
    return partial(load, path)


# ---- tokenizers ----

SLOW = {"type": "Replace", "pattern": {"Regex": "(A+)+$"}, "content": "A"}


@payload("tokenizer")
def with_a_rule_that_takes_for_ever(place, _):
    def spoil(path):
        stored = json.loads((path / "tokenizer.json").read_text())
        stored["normalizer"] = {"type": "Sequence", "normalizers": [SLOW]}
        (path / "tokenizer.json").write_text(json.dumps(stored, indent=2, ensure_ascii=False) + "\n")

    return place.spoiled("bundle", spoil)


@payload("tokenizer", negative=-1, huge=1 << 60, text="0", twice=0, fraction=0.5, none=None)
def with_a_wrong_id(place, value):
    def spoil(path):
        stored = json.loads((path / "tokenizer.json").read_text())
        vocabulary = stored["model"]["vocab"]
        vocabulary[max(vocabulary, key=vocabulary.get)] = value
        (path / "tokenizer.json").write_text(json.dumps(stored))

    return place.spoiled("bundle", spoil)


@payload("tokenizer", path="../../../etc/passwd", kind="os.system", module="builtins:exec", empty="")
def of_a_kind_that_is_none(place, kind):
    def spoil(path):
        (path / "tokenizer_config.json").write_text(json.dumps({"nuclex": {"kind": kind}}))

    place.spoiled("bundle", spoil)
    return partial(load_tokenizer, place.folder / "bundle")


# ---- safetensors ----

SOUND = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def safetensors(header, data=bytes(8), length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


TENSORS = {
    "nothing": b"",
    "zeros": bytes(8),
    "a negative header": struct.pack("<q", -1) + b"{}",
    "a header behind the end": safetensors(b"{}", length=10**6),
    "a header of 80 MB": safetensors(b"{" + b" " * (80 << 20) + b"}", b""),
    "a name twice": safetensors(b'{"a": %s, "a": %s}' % ((json.dumps(SOUND).encode(),) * 2)),
    "tensors that overlap": safetensors({"a": SOUND, "b": SOUND}),
    "a hole": safetensors({"a": SOUND, "b": {**SOUND, "data_offsets": [16, 24]}}, bytes(24)),
    "a negative offset": safetensors({"a": {**SOUND, "data_offsets": [-8, 0]}}),
    "an offset turned round": safetensors({"a": {**SOUND, "data_offsets": [8, 0]}}),
    "a negative shape": safetensors({"a": {**SOUND, "shape": [-2]}}),
    "a shape that overflows": safetensors({"a": {**SOUND, "shape": [1 << 62, 4]}}),
    "a shape that wraps to nothing": safetensors({"a": {**SOUND, "shape": [1 << 32] * 2, "data_offsets": [0, 0]}}, b""),
    "a type that lies": safetensors({"a": {**SOUND, "dtype": "F64"}}),
    "a type of objects": safetensors({"a": {**SOUND, "dtype": "O"}}),
    "depth": safetensors(b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "more data than tensors": safetensors({"a": SOUND}, bytes(800)),
    "no JSON": safetensors(b'{"a": NaN}'),
    "a fraction": safetensors({"a": {**SOUND, "shape": [2.0]}}),
    "a name with a way out": safetensors(
        {"../../evil": SOUND, "/etc/evil": {**SOUND, "data_offsets": [8, 16]}}, bytes(16)
    ),
    "a name with a zero": safetensors({"a\x00b": SOUND}),
    "thousands of axes": safetensors({"a": {**SOUND, "shape": [1] * 50_000 + [2]}}),
    "thousands of tensors": safetensors(
        {f"{n}": {**SOUND, "shape": [0], "data_offsets": [0, 0]} for n in range(40_000)}
    ),
    "a list": safetensors(b"[1, 2]"),
    "an archive": b"PK\x03\x04" + bytes(100),
}


@payload("safetensors", **TENSORS)
def with_(place, content):
    return place.spoiled("bundle", lambda path: (path / "model.safetensors").write_bytes(content))


# ---- links and names that lead out ----


@payload("links", file="/etc/hostname", up="../../mark-source", device="/dev/zero", loop="config.json")
def in_a_bundle_to(place, target):
    (place.folder.parent / "mark-source").write_text("{}")

    def spoil(path):
        (path / "config.json").unlink()
        (path / "config.json").symlink_to(target)

    return place.spoiled("bundle", spoil)


@payload("links")
def to_a_folder_outside(place, _):
    outside = place.folder / "outside"
    outside.mkdir()
    (outside / "notes.txt").write_text("x")
    return place.spoiled("bundle", lambda path: (path / "more").symlink_to(outside))


@payload("links")
def a_pipe_in_place_of_the_config(place, _):
    def spoil(path):
        (path / "config.json").unlink()
        os.mkfifo(path / "config.json")

    return place.spoiled("bundle", spoil)


@payload("links", up="../outside.json", absolute="/etc/hostname", zero="a\x00b", long="x" * 5000)
def a_manifest_that_names(place, name):
    (place.folder / "outside.json").write_text("x")
    open_it = place.spoiled("bundle", lambda path: None)
    manifest = place.folder / "bundle" / MANIFEST
    stored = json.loads(manifest.read_text())
    entry = {"bytes": 1, "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}
    text = json.dumps({"files": {**stored["files"], name: entry}}, indent=2, ensure_ascii=False) + "\n"
    manifest.write_text(text)
    return open_it


@payload("links", up="../../../etc/hostname", absolute="/etc/hostname")
def a_corpus_whose_files_are(place, name):
    return place.spoiled("corpus", lambda path: add_keys(path / "corpus.json", files=[name]))


# ---- tables ----


def ipc(table, writer="new_file"):
    import pyarrow as pa

    file = io.BytesIO()
    with getattr(pa.ipc, writer)(file, table.schema) as out:
        out.write_table(table)
    return file.getvalue()


def extension(place):
    """A table whose column says that it is of a Python type, which is unpickled from its metadata."""
    import pyarrow as pa

    content = raw(gadgets(place)["exec"], 4)
    keys = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": content}
    field = pa.field("sequence", pa.list_(pa.string()), metadata=keys)
    return pa.table([pa.array([["ACGT"]])], schema=pa.schema([field]))


@payload("tables", file="new_file", stream="new_stream")
def an_arrow_type_that_is_a_pickle(place, writer):
    path = place.file("x.arrow", ipc(extension(place), writer))
    return lambda: list(read_sequences(path))


@payload("tables")
def a_parquet_type_that_is_a_pickle(place, _):
    import pyarrow.parquet as pq

    pq.write_table(extension(place), place.folder / "x.parquet")
    return lambda: list(read_sequences(place.folder / "x.parquet"))


@payload("tables")
def a_corpus_of_a_type_that_is_a_pickle(place, _):
    content = ipc(extension(place))
    return place.spoiled("corpus", lambda path: (path / "sequences-00000.arrow").write_bytes(content))


@payload("tables", flat="flat", far="far", beyond="beyond")
def a_corpus_with_wrong_offsets(place, way):
    def spoil(path):
        file = path / "sequences-00000.arrow"
        data = bytearray(file.read_bytes())
        first = Corpus.open(path).sequence(0)
        place_of = data.index(struct.pack("<qq", 0, len(first)))
        wrong = {"flat": -1, "far": 1 << 40, "beyond": len(data)}[way]
        struct.pack_into("<q", data, place_of + 8, wrong)
        file.write_bytes(data)

    return place.spoiled("corpus", spoil)


@payload("tables")
def a_parquet_file_cut_short(place, _):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"sequence": ["ACGT"] * 1000}), place.folder / "x.parquet")
    path = place.file("y.parquet", (place.folder / "x.parquet").read_bytes()[:-200] + b"PAR1")
    return lambda: list(read_sequences(path))


# ---- archives ----


def tar_with(place, info, content=b""):
    path = place.folder / "x.tar"
    with tarfile.open(path, "w") as archive:
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return partial(unpack_archive, path, place.folder / "out")


@payload("archives", up="../mark", absolute="MARK", deep="a/b/../../../mark")
def a_tar_file_with_the_name(place, name):
    return tar_with(place, tarfile.TarInfo(name.replace("MARK", str(place.mark))), b"x")


@payload("archives", symbolic=tarfile.SYMTYPE, hard=tarfile.LNKTYPE, device=tarfile.CHRTYPE, pipe=tarfile.FIFOTYPE)
def a_tar_file_with_a_member_that_is(place, kind):
    info = tarfile.TarInfo("x")
    info.type, info.linkname = kind, "../../mark"
    return tar_with(place, info)


@payload("archives", up="../mark", absolute="MARK", windows="..\\mark")
def a_zip_file_with_the_name(place, name):
    path = place.folder / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name.replace("MARK", str(place.mark)), b"x")
    return partial(unpack_archive, path, place.folder / "out")


@payload("archives", tar="tar", zip="zip")
def a_bomb_in(place, kind):
    path = place.folder / f"x.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("zeros", bytes(50 << 20))
    else:
        path.write_bytes(gzip.compress(bytes(50 << 20)))
    return partial(unpack_archive, path, place.folder / "out")


# ---- the tests ----


@pytest.fixture(scope="session")
def roberta(tmp_path_factory):
    """A small RoBERTa as transformers saves it, with a tokenizer."""
    transformers = pytest.importorskip("transformers")
    from nuclex.tokenizers import NucleotideConfig, save_tokenizer

    tokenizer = NucleotideConfig().build()
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = transformers.RobertaConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_id, **sizes)
    folder = tmp_path_factory.mktemp("foreign") / "roberta"
    transformers.RobertaForMaskedLM(config).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


@pytest.fixture
def place(tmp_path, tiny_bundle, tiny_corpus, request, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    foreign = "foreign" in request.node.name
    return Place(tmp_path, tiny_bundle, tiny_corpus, request.getfixturevalue("roberta") if foreign else None)


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_is_refused_and_leaves_no_mark(name, place):
    make, value = PAYLOADS[name]
    open_it = make(place, value)
    assert not place.mark.exists()
    began, started = time.process_time(), time.monotonic()
    with quiet(), pytest.raises(NuclexError) as caught:
        open_it()
    assert time.process_time() - began < SECONDS
    assert time.monotonic() - started < 6 * SECONDS, "it waits for something"
    time.sleep(0.05 if "Popen" in name else 0)
    assert not place.mark.exists()
    message = str(caught.value)
    assert message
    assert message.isprintable(), "one line, nothing that moves a terminal's cursor"
    assert len(message) < 1500


@pytest.mark.parametrize("gadget", GADGETS)
@pytest.mark.parametrize("protocol", range(6))
def test_the_gadgets_would_leave_a_mark(place, gadget, protocol):
    """Else the test above could not fail."""
    value = gadgets(place)[gadget]
    found = pickle.loads(raw(value, protocol))
    if gadget == "Popen":
        found.wait()
    if gadget == "open":
        found.close()
    assert place.mark.exists()


def test_the_sound_artefacts_are_not_refused(place, roberta):
    assert place.spoiled("bundle", lambda path: None)().path
    assert place.spoiled("corpus", lambda path: None)()
    with quiet():
        place._roberta = roberta
        assert place.foreign(lambda path: None)()


def test_what_looks_like_a_pickle_but_is_read_as_text_runs_nothing(place):
    """A text column of an unknown type, and pandas' own notes beside a table, are passed over."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = raw(gadgets(place)["exec"], 4)
    keys = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": content}
    schema = pa.schema([pa.field("sequence", pa.string(), metadata=keys)], metadata={b"pandas": content})
    table = pa.table([pa.array(["ACGT"])], schema=schema)
    pq.write_table(table, place.folder / "x.parquet")
    place.file("x.arrow", ipc(table))
    for name in ("x.parquet", "x.arrow"):
        assert [record.sequence for record in read_sequences(place.folder / name)] == [b"ACGT"]
    assert not place.mark.exists()


def test_refusals_do_not_advise_to_run_code(place, roberta):
    place._roberta = roberta
    for name in (
        "pickle: in the weights of a foreign model exec",
        "code: named by auto map in a foreign tokenizer present",
    ):
        shutil.rmtree(place.folder / "roberta", ignore_errors=True)
        make, value = PAYLOADS[name]
        with pytest.raises(NuclexError) as caught, quiet():
            make(place, value)()
        assert "trust_remote_code" not in str(caught.value)
        assert "weights_only" not in str(caught.value)
        assert "could run code; ask" in str(caught.value) or "which nuclex never does" in str(caught.value)


def test_there_are_at_least_forty_payloads():
    sorts = Counter(name.partition(":")[0] for name in PAYLOADS)
    print(f"\n{len(PAYLOADS)} payloads: " + ", ".join(f"{count} {sort}" for sort, count in sorts.items()))
    assert len(PAYLOADS) >= 40
    assert sys.modules.get("evil") is None
