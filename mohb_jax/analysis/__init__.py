"""What a finished study shows: curves, indicators, statistics and tables, read from its folder alone."""

from mohb_jax.analysis.analysis import Analysis

__all__ = ["Analysis"]
