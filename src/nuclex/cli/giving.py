"""The verb that gives a model to others: on the Hugging Face hub, with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nuclex.cli.values import Settings


def publish(
    bundle: Path,
    repository: str,
    *,
    private: bool = False,
    space: bool = False,
    out: Path | None = None,
    set: Settings = (),
) -> dict[str, Any]:
    """Put a bundle on the Hugging Face hub, with a complete card.

    Example: nuclex publish bundle lab/name --dry-run

    Flags: --dry-run (say what would be uploaded, and stop), --revision BRANCH (main), --message TEXT (of the commit),
    --licence NAME (of the weights, such as cc-by-4.0; else what the bundle says). The token comes from `hf auth login`
    or the variable HF_TOKEN.

    Parameters
    ----------
    bundle:
        A model made by nuclex.
    repository:
        A name on the hub: ORG/NAME or USER/NAME.
    private:
        For you alone; refused where the repository is there and public.
    space:
        A Space of the same name, too: a page that runs the model (Gradio).
    out:
        A new folder that keeps what is uploaded, or, with --dry-run, would be.
    """
    import nuclex
    from nuclex.core.config import load_config, parse_settings
    from nuclex.hub.publish import PublishConfig

    settings = load_config(PublishConfig, None, parse_settings(set))
    return nuclex.publish(bundle, repository, settings, private=private, space=space, out=out)
