"""Searchers: which rows to evaluate next."""
