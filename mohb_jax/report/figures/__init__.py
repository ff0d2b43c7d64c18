"""Figures on paper, one file per figure or family."""
