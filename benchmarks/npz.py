"""Files of tables: arrays, and everything else as JSON, in one ``.npz`` file without pickles."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

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
            np.savez_compressed(file, metadata=np.frombuffer(text.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_npz(path: str | os.PathLike[str]) -> Content:
    """The inverse of ``write_npz``; any of several errors if the file is damaged or something else."""
    with np.load(path, allow_pickle=False) as file:
        metadata = json.loads(file["metadata"].tobytes())
        arrays = {name: file[name] for name in file.files if name != "metadata"}
    return Content(metadata.pop("format"), metadata, arrays)
