"""What a finished study shows: curves, indicators, statistics and tables, read from its folder alone."""
