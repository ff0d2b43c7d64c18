"""The parts of the page in their order: a new section is a file beside this one and a line here."""

from mohb_jax.report.parts import Builder
from mohb_jax.report.sections import (
    answer,
    attained,
    calibration,
    contributions,
    fronts,
    making,
    outside,
    prices,
    progress,
    ranks,
    reading,
    scaled,
    tables,
    tasks,
)

SECTIONS: tuple[Builder, ...] = (
    answer.build,
    fronts.build,
    progress.build,
    tasks.build,
    ranks.build,
    scaled.build,
    attained.build,
    contributions.build,
    calibration.build,
    outside.build,
    prices.build,
    tables.build,
    reading.build,
    making.build,
)
