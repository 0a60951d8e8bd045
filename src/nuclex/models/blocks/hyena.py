"""In the making by a helper: overwrite this file."""

from nuclex.core.config import Config
from nuclex.models.blocks.mixer import Mixer


class HyenaConfig(Config):
    pass


class Hyena(Mixer):
    pass
