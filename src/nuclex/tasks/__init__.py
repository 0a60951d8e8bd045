"""Questions that models are fine-tuned on: sequences with answers, split so that nothing leaks.

A new kind of data is one file and one import line here.
"""

from nuclex.tasks.base import (
    SPLITS,
    TASKS,
    AnyTaskConfig,
    Example,
    Shape,
    Split,
    Task,
    TaskConfig,
)
from nuclex.tasks.classification import FastaClassConfig, NcrnaClassConfig
from nuclex.tasks.structure import DotBracketConfig, SimulatedStructureConfig, read_vienna
from nuclex.tasks.structure_sets import ArchiveiiConfig, BprnaConfig, PdbRnaConfig

__all__ = [
    "SPLITS",
    "TASKS",
    "AnyTaskConfig",
    "ArchiveiiConfig",
    "BprnaConfig",
    "DotBracketConfig",
    "Example",
    "FastaClassConfig",
    "NcrnaClassConfig",
    "PdbRnaConfig",
    "Shape",
    "SimulatedStructureConfig",
    "Split",
    "Task",
    "TaskConfig",
    "read_vienna",
]
