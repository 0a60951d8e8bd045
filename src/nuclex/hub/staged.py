"""A bundle as others will see it: the same weights and tokenizer, a card with its address, no path of a machine.

What is refused or said about licences and data is decided here, before anything leaves.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from nuclex.bundle import Bundle, Record, load
from nuclex.bundle.card import is_simulated, model_card
from nuclex.bundle.markdown import without_paths
from nuclex.bundle.published import SUFFIXES
from nuclex.bundle.rights import front_licence, learned_under, promises_more
from nuclex.bundle.write import CARD_FILE, RECORD_FILE
from nuclex.core.artifact import MANIFEST, atomic_folder, write_json
from nuclex.core.errors import InputError
from nuclex.core.plain import from_json


def stage(bundle: Bundle, folder: Path, repository: str, licence: str | None) -> Bundle:
    """Write a bundle that was opened, and so checked, as ``folder``, and open that.

    The card and ``nuclex.json`` are written anew: with the name ``repository``, with ``licence`` where it is given, and
    with every absolute path cut to its last name; all other files are the same bytes. InputError where the licence
    promises more than the data allow.
    """
    record = Record.from_data(without_paths(bundle.record.to_data()))
    record = replace(record, licence=licence or record.licence)
    if promises_more(record):
        raise InputError(
            f"licence: {record.licence} promises more than the data that the model learned from, of which some allow "
            "academic, non-commercial use only; leave it out, and the card says so, or give one that is non-commercial"
        )
    with atomic_folder(folder) as temporary:
        for file in sorted(bundle.path.iterdir()):
            if file.is_file() and file.suffix in SUFFIXES and file.name not in (CARD_FILE, RECORD_FILE, MANIFEST):
                shutil.copyfile(file, temporary / file.name)
        stored = from_json((bundle.path / RECORD_FILE).read_bytes())
        task = without_paths(stored["task"])
        kept = {"format": stored["format"], "task": task, "fingerprint": stored["fingerprint"]}
        write_json(temporary / RECORD_FILE, {**record.to_data(), **kept})
        card = model_card(bundle.model, bundle.tokenizer, record, task, place=repository)
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")
    return load(folder)


def told_before(record: Record) -> list[str]:
    """What a person should know before the bundle is everybody's, a sentence each."""
    told = []
    if not front_licence(record):
        told.append("no licence is stated, so nobody may use the model; --licence states one")
    elif learned_under(record) == "academic":
        told.append("some of its data allow academic, non-commercial use only; the card's front matter says so")
    if is_simulated(record.corpus):
        told.append("it learned from simulated sequences; the card says so")
    if not record.metrics and record.finetuned is None:
        told.append("no evaluation is recorded; the card says so")
    return told
