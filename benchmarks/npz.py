"""Files of tables: arrays, and everything else as JSON, in one ``.npz`` file without pickles."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np


class Content(NamedTuple):
    """What such a file holds."""

    format: str
    """Which kind of table it is."""
    metadata: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write_npz(
    path: str | os.PathLike[str], format_name: str, metadata: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Writes the arrays and, as JSON, the metadata and the format's name.

    An interrupted write leaves the old file, or none.
    """
    text = json.dumps({**metadata, "format": format_name})
    target = Path(path)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            _write(file, {"metadata": np.frombuffer(text.encode(), np.uint8), **arrays})
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write(file: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    """What ``numpy.savez_compressed`` does, at zlib's fastest level: floats hardly become smaller at others,
    which take one to five times as long."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def read_npz(path: str | os.PathLike[str]) -> Content:
    """The inverse of ``write_npz``; any of several errors if the file is damaged or something else."""
    with np.load(path, allow_pickle=False) as file:
        metadata = json.loads(file["metadata"].tobytes())
        arrays = {name: file[name] for name in file.files if name != "metadata"}
    return Content(metadata.pop("format"), metadata, arrays)
