"""``mohb bench``: every promised speed, as a ratio to a named reference measured in the same run.

The reference's answer is compared first; compilation is left out of a row's value and printed apart,
transfers to and from the device are counted in.
"""

import sys
from collections.abc import Callable, Iterator, Sequence

from mohb_jax.bench.command_rows import baselines, both_credits, memory, papers, ray, study, tables
from mohb_jax.bench.design_rows import design
from mohb_jax.bench.ensemble_rows import ensembles
from mohb_jax.bench.external_rows import external
from mohb_jax.bench.first_contact_rows import ablation, compilation, demo, suite
from mohb_jax.bench.kernel_rows import arrivals, kernels
from mohb_jax.bench.live_rows import live
from mohb_jax.bench.pruning_rows import pruning
from mohb_jax.bench.row import MissingPeerError, Row
from mohb_jax.bench.run_rows import asha, cloud, gcp, hyperband, prior, proposals
from mohb_jax.methods import require_known
from mohb_jax.precision import in_64_bits

BENCHES: dict[str, Callable[[], Iterator[Row]]] = {
    "hyperband": hyperband,
    "kernels": kernels,
    "prior": prior,
    "proposals": proposals,
    "asha": asha,
    "arrivals": arrivals,
    "pruning": pruning,
    "baselines": baselines,
    "gcp": gcp,
    "cloud": cloud,
    "live": live,
    "design": design,
    "external": external,
    "memory": memory,
    "study": study,
    "credits": both_credits,
    "tables": tables,
    "ray": ray,
    "papers": papers,
    "ensembles": ensembles,
    "demo": demo,
    "compilation": compilation,
    "ablation": ablation,
    "suite": suite,
}


def run(names: Sequence[str] | None = None) -> Iterator[Row]:
    """Measures the named groups of rows, all if None, and yields each row when it is there."""
    for name in names or BENCHES:
        require_known("bench", name, BENCHES)
    for name in names or BENCHES:
        try:
            yield from _each(BENCHES[name]())
        except MissingPeerError as error:
            if names:
                raise
            print(f"mohb: left out {name}: {error}", file=sys.stderr)


def _each(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows that are measured in 64 bits; whoever reads them keeps a precision of their own."""
    return iter(in_64_bits(lambda: next(rows, None)), None)
