"""The suite. Who checks types is said here, for it must be said before the package is imported."""

import gc

import jaxtyping

from tests.checking import checked

jaxtyping.jaxtyped = checked  # type: ignore[assignment]

gc.disable()
"""Until everything is imported: what is made by then stays, and looking at it again takes a second."""
