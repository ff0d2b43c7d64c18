"""Tabular benchmarks: a dense table per benchmark, checked, with units and provenance."""

from benchmarks.columns import Column, Objective
from benchmarks.crossing import CrossedTable, cross_table
from benchmarks.errors import InputError
from benchmarks.frames import from_frame, import_file
from benchmarks.interface import AnyTable
from benchmarks.lcbench import load_lcbench
from benchmarks.normalise import REFERENCE_POINT, Normalisation, normalisation, true_front
from benchmarks.registry import check, describe, fetch, load, names
from benchmarks.table import Table, load_table

__all__ = [
    "REFERENCE_POINT",
    "AnyTable",
    "Column",
    "CrossedTable",
    "InputError",
    "Normalisation",
    "Objective",
    "Table",
    "check",
    "cross_table",
    "describe",
    "fetch",
    "from_frame",
    "import_file",
    "load",
    "load_lcbench",
    "load_table",
    "names",
    "normalisation",
    "true_front",
]
