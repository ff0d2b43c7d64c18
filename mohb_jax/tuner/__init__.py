"""Live runs: the methods that were simulated tune real trainings."""
