"""Live runs for people: what a journal says so far, in the terminal and as a page."""
