"""Tables that others published or that follow from a formula, one file for each."""
