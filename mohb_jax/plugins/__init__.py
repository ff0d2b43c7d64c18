"""Code from outside the package: finds and imports what ``my_module:my_object`` names, and knows its source.

Importing a module runs it. Only names that hold a colon, and names of entry points, ever lead here, and
nothing of this package does so to read data.
"""

from mohb_jax.plugins.blaming import blame, is_users, said, telling
from mohb_jax.plugins.loading import (
    Loaded,
    distribution_of,
    entry_point,
    entry_points,
    forbidden,
    is_path,
    load_object,
    made,
    of_functions,
)
from mohb_jax.plugins.shipments import Shipment, packed, unpacked

__all__ = [
    "Loaded",
    "Shipment",
    "blame",
    "distribution_of",
    "entry_point",
    "entry_points",
    "forbidden",
    "is_path",
    "is_users",
    "load_object",
    "made",
    "of_functions",
    "packed",
    "said",
    "telling",
    "unpacked",
]
