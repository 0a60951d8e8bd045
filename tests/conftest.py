"""What all tests share: the real data, Hypothesis' settings, one thread for each parallel worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# No deadline and no too_slow: both measure the machine, not the code. In CI the examples are the same in every run.
settings.register_profile("nuclex", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("nuclex-ci", settings.get_profile("nuclex"), derandomize=True, database=None)
collect_ignore_glob = ["fixtures/*.py"]
"""Scripts that made fixtures; they import what the project does not depend on."""
settings.load_profile("nuclex-ci" if os.environ.get("CI") else "nuclex")


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of the catalogue's real data sets (NUCLEX_MIRROR); tests that need it are skipped without it."""
    name = os.environ.get("NUCLEX_MIRROR", "")
    if not name or "://" in name:
        pytest.skip("real data not available: set NUCLEX_MIRROR to a folder that mirrors the catalogue")
    folder = Path(name)
    if not folder.is_dir():
        pytest.fail(f"NUCLEX_MIRROR={name}: no such folder; name the mirror of the catalogue, or unset it")
    return folder.resolve()


@pytest.fixture(autouse=True)
def _real_needs_the_mirror(request: pytest.FixtureRequest) -> None:
    """A test marked ``real`` is skipped with the mirror's sentence even if it reads NUCLEX_MIRROR by itself."""
    if request.node.get_closest_marker("real") is not None:
        request.getfixturevalue("mirror")


@pytest.fixture(autouse=True)
def _one_thread_a_worker() -> None:
    """Inside an xdist worker torch computes on one thread; it is not imported for that."""
    torch = sys.modules.get("torch")
    if torch is not None and "PYTEST_XDIST_WORKER" in os.environ and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture
def made_up_results() -> None:
    """Asked for by a test whose verbs answer with something that its schema does not know."""


@pytest.fixture(autouse=True)
def _answers_are_as_their_schema_says(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ``--json`` that any test prints in this process is held to the verb's schema; a key that drifts fails."""
    main = sys.modules.get("nuclex.cli.main")
    if main is None or "made_up_results" in request.fixturenames:
        return
    printed = main._one_object

    def held(verb: str, result: dict[str, Any]) -> str:
        from nuclex.cli.schema import checked

        text: str = printed(verb, result)
        checked(verb, text)
        return text

    monkeypatch.setattr(main, "_one_object", held)


@pytest.fixture
def silent() -> Iterator[None]:
    """No progress on the terminal."""
    from nuclex.core.progress import quiet

    with quiet():
        yield


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of 60 simulated RNAs of three families, divided at random, each sequence its own cluster."""
    from nuclex.core.progress import quiet
    from nuclex.data.corpus import CorpusConfig, build_corpus
    from nuclex.data.simulate import SimulationConfig, simulate, write_fasta

    folder = tmp_path_factory.mktemp("tiny")
    config = SimulationConfig(families=3, members=20, shortest=30, longest=50, outer_stems=1, branching=0.2)
    write_fasta(list(simulate(config)), folder / "families.fa")
    settings = {"cluster": {"method": "none"}, "split": {"by": "random", "validation": 0.2, "test": 0.1}}
    with quiet():
        build_corpus([folder / "families.fa"], folder / "corpus", CorpusConfig.from_data(settings))
    return folder / "corpus"


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a RiNALMo of width 16 and depth 2 whose random weights all matter."""
    import torch

    from nuclex.bundle import Record, write_bundle
    from nuclex.models import LanguageModel, RinalmoConfig
    from nuclex.tokenizers import NucleotideConfig

    torch.manual_seed(0)
    config, tokenizer = RinalmoConfig(depth=2, width=16, heads=2), NucleotideConfig().build()
    ids = {"pad_id": tokenizer.pad_id, "mask_id": tokenizer.mask_id}
    model = LanguageModel(config.backbone(), vocabulary_size=len(tokenizer), **ids).eval()
    record = Record({"sampling": {"max_tokens": 64}}, {}, {"validation_loss": 1.4}, None, "tiny")
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    write_bundle(folder, model, tokenizer, record)
    return folder
