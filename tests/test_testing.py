"""The kit for authors catches what is wrong on purpose: each fault by the check that is meant for it."""
