"""Tests. Types are checked by ``checking``, which stands here since it must before the package is imported."""

import jaxtyping

from tests.checking import checked

jaxtyping.jaxtyped = checked  # type: ignore[assignment]
