"""The ``mohb`` command: one file per group of commands, in the order in which ``--help`` lists them."""

from mohb_jax.cli import run, report, ensemble, reproduce, listing, describing  # noqa: F401, I001
from mohb_jax.cli import watching, new_method, check, data, bench, design  # noqa: F401
from mohb_jax.cli.app import app, main

__all__ = ["app", "main"]
