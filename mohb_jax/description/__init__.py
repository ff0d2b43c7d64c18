"""What a table is like, before a study of it: one description for the terminal, imports and pages."""

from mohb_jax.description.measures import Description, Level, describe
from mohb_jax.description.tasks import task_descriptors
from mohb_jax.description.words import lines

__all__ = ["Description", "Level", "describe", "lines", "task_descriptors"]
