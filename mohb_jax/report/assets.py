"""Files of the package that become part of a page."""

from pathlib import Path
from string import Template

FOLDER = Path(__file__).parent


def filled(name: str, **fields: str) -> str:
    return Template(asset(name)).substitute(fields)


def asset(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
