"""The verb that puts a model behind a page in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nuclex.cli.values import Device, Settings, Whole


def serve(
    bundle: Path,
    other: Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: Whole = 8000,
    device: Device = "auto",
    set: Settings = (),
) -> dict[str, Any]:
    """A page in the browser, and a JSON API, for a model.

    Example: nuclex serve bundle --reference families.fa

    Paste sequences: what the model expects at each place, structures, a map, every substitution, codons. Open the
    address that is printed; /api there describes the API. Ctrl-C ends it. Settings: --reference FILE, sequences that
    the map shows; limits: --body-bytes, --sequences, --letters (of one), --letters-together, --letters-coupled (folded
    without a head for structures), --seconds (a job), --queue (jobs that wait), --kept, --kept-bytes, --kept-seconds
    (results), --request-seconds, --connections, --reference-most.

    Parameters
    ----------
    bundle:
        A model made by nuclex.
    other:
        A second one, to be compared with the first.
    host:
        Where to listen: this machine alone, unless told otherwise. Whoever reaches it can use it.
    port:
        0 is any that is free.
    """
    import nuclex
    from nuclex.core.config import parse_settings
    from nuclex.training.device import choose_device

    return nuclex.serve(bundle, other, host=host, port=port, device=choose_device(device), **parse_settings(set))
