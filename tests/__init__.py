"""Tests. Types are checked by ``checked``, which stands here since it must before the package is imported."""

import jaxtyping

from tests.checked import checked

jaxtyping.jaxtyped = checked  # type: ignore[assignment]
