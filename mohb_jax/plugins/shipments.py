"""A user's code on its way to a worker on another machine."""

from pathlib import Path
from typing import NamedTuple

from mohb_jax.errors import InputError
from mohb_jax.plugins.loading import Loaded, load_object


class Shipment(NamedTuple):
    """A user's code on its way to another machine."""

    path: str
    """As in ``Loaded``."""
    module: str
    """Its file among ``files``; empty for what must be installed there."""
    files: dict[str, bytes]
    """By path below the folder."""
    source_hash: str


def packed(loaded: Loaded) -> Shipment:
    """The source files of a user's object; none of what is installed, which the other machine must have."""
    if loaded.folder is None or loaded.file is None:
        return Shipment(loaded.path, "", {}, loaded.source_hash)
    files = {path.relative_to(loaded.folder).as_posix(): path.read_bytes() for path in loaded.files}
    return Shipment(loaded.path, loaded.file.relative_to(loaded.folder).as_posix(), files, loaded.source_hash)


def unpacked(shipment: Shipment, folder: Path, kind: str = "plug-in") -> Loaded:
    """The object of a shipment, its files written below a folder of their own.

    Raises:
        InputError: what is here is not what was sent.
    """
    place = folder / shipment.source_hash
    for name, content in shipment.files.items():
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    attribute = shipment.path.rpartition(":")[2]
    name = f"{place / shipment.module}:{attribute}" if shipment.module else shipment.path
    loaded = load_object(name, kind=kind)
    if loaded.source_hash != shipment.source_hash:
        here, there = loaded.source_hash[:12], shipment.source_hash[:12]
        raise InputError(
            f"{kind} {shipment.path!r}: the source on this worker ({here}) is not that of the study ({there})"
        )
    return loaded
