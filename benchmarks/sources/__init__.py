"""Tables that others published or that follow from a formula, one file for each.

A new one is a file in this folder, and its name in ``MODULES``. The file holds

* a function that makes the table;
* its published files as ``RemoteFile``: address, SHA-256, size, licence;
* ``BENCHMARKS``: one ``mohb_jax.benchmarks.benchmark.Benchmark`` for each name that users may type, with what
  can be said of the table without loading it, and how to load it.

Lists, downloads and studies follow from that. The file's first text says what was measured, what is cited
and what is modelled, and every choice that was made on the way.
"""

from mohb_jax.benchmarks.sources import (
    deepar,
    embedded,
    lcbench,
    nasbench201,
    pollux,
    synthetic,
    trimtuner,
    zeus,
)

MODULES = (embedded, trimtuner, zeus, pollux, nasbench201, deepar, lcbench, synthetic)
"""In the order in which their benchmarks are listed."""
