"""The folder in which a model is kept and passed on: written whole, opened only if it proves to be what was written."""

from nuclex.bundle.load import Bundle, load
from nuclex.bundle.record import Record, TaskPart
from nuclex.bundle.write import fill_bundle, write_bundle

__all__ = ["Bundle", "Record", "TaskPart", "fill_bundle", "load", "write_bundle"]
