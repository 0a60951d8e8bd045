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
from nuclex.tasks.structure import ArchiveiiConfig, DotBracketConfig, SimulatedStructureConfig, read_vienna

__all__ = [
    "SPLITS",
    "TASKS",
    "AnyTaskConfig",
    "ArchiveiiConfig",
    "DotBracketConfig",
    "Example",
    "FastaClassConfig",
    "NcrnaClassConfig",
    "Shape",
    "SimulatedStructureConfig",
    "Split",
    "Task",
    "TaskConfig",
    "read_vienna",
]
