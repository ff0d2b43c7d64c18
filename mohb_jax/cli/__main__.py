"""``python -m mohb_jax.cli``."""

from mohb_jax.cli import main

main()
