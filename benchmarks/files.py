"""Tables of every kind from the files that their ``save`` wrote."""

import os
import zipfile
from pathlib import Path

from mohb_jax.benchmarks import crossing, table
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.npz import read_npz

from mohb_jax.errors import InputError

MAKERS = {table.FORMAT: table.table_from, crossing.FORMAT: crossing.crossed_from}
"""How the content of a file becomes a table, by the name of its format."""


def load_table(path: str | os.PathLike[str]) -> AnyTable:
    """Reads a table that its ``save`` wrote; it is checked again like any other table.

    Raises:
        InputError: if the file is missing, truncated or no table.
    """
    if not Path(path).is_file():
        raise InputError(f"table file {os.fspath(path)!r} does not exist")
    try:
        content = read_npz(path)
        return MAKERS[content.format](content.metadata, content.arrays)
    except InputError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        wanted = "a table written by 'mohb data import' or Table.save"
        raise InputError(f"{os.fspath(path)!r} is damaged or not a table; expected {wanted}") from error
