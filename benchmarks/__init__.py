"""Tabular benchmarks: a dense table per benchmark, checked, with units and provenance."""

from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.contract import AnyTable, CellSource
from mohb_jax.benchmarks.crossing import CrossedTable, cross_table
from mohb_jax.benchmarks.files import load_table
from mohb_jax.benchmarks.frames import from_frame, import_file
from mohb_jax.benchmarks.normalise import REFERENCE_POINT, Normalisation, normalisation, true_front
from mohb_jax.benchmarks.prices import with_prices
from mohb_jax.benchmarks.registry import check, describe, fetch, load, names
from mohb_jax.benchmarks.sources.lcbench import load_lcbench
from mohb_jax.benchmarks.space import config_space, nearest_rows
from mohb_jax.benchmarks.syne_tune import from_syne_tune, to_syne_tune
from mohb_jax.benchmarks.table import Table

from mohb_jax.errors import InputError

__all__ = [
    "REFERENCE_POINT",
    "AnyTable",
    "CellSource",
    "Column",
    "CrossedTable",
    "InputError",
    "Normalisation",
    "Objective",
    "Table",
    "check",
    "config_space",
    "cross_table",
    "describe",
    "fetch",
    "from_frame",
    "from_syne_tune",
    "import_file",
    "load",
    "load_lcbench",
    "load_table",
    "names",
    "nearest_rows",
    "normalisation",
    "to_syne_tune",
    "true_front",
    "with_prices",
]
