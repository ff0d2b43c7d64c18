"""``mohb design``: the space of tuning methods, searched, tested and explained."""
