"""The floor that speaks to Hugging Face ``transformers``: importing it teaches AutoModel the networks of nuclex.

InputError where ``transformers`` is not installed.
"""

from nuclex.core.errors import missing_extra

try:
    from nuclex.hub.automodel import NuclexConfig, NuclexForCausalLM, NuclexForMaskedLM, NuclexModel
except ModuleNotFoundError as error:
    if error.name != "transformers":
        raise
    raise missing_extra("transformers", "hub", "nuclex.hub") from None

from nuclex.hub.bundles import import_bundle
from nuclex.hub.convert import from_transformers, import_transformers, to_transformers

__all__ = [
    "NuclexConfig",
    "NuclexForCausalLM",
    "NuclexForMaskedLM",
    "NuclexModel",
    "from_transformers",
    "import_bundle",
    "import_transformers",
    "to_transformers",
]
