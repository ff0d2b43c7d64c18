"""Drivers: each takes all lanes of a plan to their end. Python walks, compiled steps advance the lanes."""
