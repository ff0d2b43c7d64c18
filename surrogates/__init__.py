"""Models that are fitted and asked: pure functions on arrays. The transfer prior will live here."""
