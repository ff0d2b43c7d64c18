"""The suite. Who checks types is said here, for it must be said before the package is imported."""

import jaxtyping

from tests.checking import checked

jaxtyping.jaxtyped = checked  # type: ignore[assignment]
