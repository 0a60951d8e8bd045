"""Questions that models are fine-tuned on: sequences with answers, split so that nothing leaks.

A new kind of data is one file and one import line here.
"""

from nuclex.tasks.antibody import AntibodyRegionsConfig
from nuclex.tasks.base import (
    SPLITS,
    TASKS,
    AnyTaskConfig,
    Example,
    Partner,
    Shape,
    Split,
    Task,
    TaskConfig,
    Track,
)
from nuclex.tasks.changes import TableVariantConfig
from nuclex.tasks.classification import FastaClassConfig, NcrnaClassConfig
from nuclex.tasks.families import SimulatedFamilyConfig
from nuclex.tasks.mutagenesis import SortSeqConfig, SortSeqVariantsConfig, SpliceMpsaConfig
from nuclex.tasks.partners import TablePartnerConfig
from nuclex.tasks.positions import OpenvaccineConfig, TablePositionsConfig
from nuclex.tasks.properties import PropertyConfig, TableClassConfig, TableScalarConfig
from nuclex.tasks.regulation import GueConfig, NucleotideTransformerConfig
from nuclex.tasks.splice_archive import SpliceGs1Config
from nuclex.tasks.splicing import SpliceHumanConfig, SpliceRowsConfig
from nuclex.tasks.structure import DotBracketConfig, SimulatedStructureConfig, read_vienna
from nuclex.tasks.structure_sets import ArchiveiiConfig, BprnaConfig, PdbRnaConfig
from nuclex.tasks.structure_tables import TablePairsConfig
from nuclex.tasks.translation import RibosomeLoadConfig, TranslationConfig, VaryingLengthConfig
from nuclex.tasks.variants import SatmutConfig, UtrVariantsConfig

__all__ = [
    "SPLITS",
    "TASKS",
    "AntibodyRegionsConfig",
    "AnyTaskConfig",
    "ArchiveiiConfig",
    "BprnaConfig",
    "DotBracketConfig",
    "Example",
    "FastaClassConfig",
    "GueConfig",
    "NcrnaClassConfig",
    "NucleotideTransformerConfig",
    "OpenvaccineConfig",
    "Partner",
    "PdbRnaConfig",
    "PropertyConfig",
    "RibosomeLoadConfig",
    "SatmutConfig",
    "Shape",
    "SimulatedFamilyConfig",
    "SimulatedStructureConfig",
    "SortSeqConfig",
    "SortSeqVariantsConfig",
    "SpliceGs1Config",
    "SpliceHumanConfig",
    "SpliceMpsaConfig",
    "SpliceRowsConfig",
    "Split",
    "TableClassConfig",
    "TablePairsConfig",
    "TablePartnerConfig",
    "TablePositionsConfig",
    "TableScalarConfig",
    "TableVariantConfig",
    "Task",
    "TaskConfig",
    "Track",
    "TranslationConfig",
    "UtrVariantsConfig",
    "VaryingLengthConfig",
    "read_vienna",
]
