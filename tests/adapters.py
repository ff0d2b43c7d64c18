"""Optimisers for tests/test_external.py, as a user would write them: the standard library only."""

import os
import random
import sys
import time


class Shuffled:
    """All rows of a grid in random order."""

    def __init__(self, problem, seed, settings):
        self.random, self.columns = random.Random(seed), problem.columns

    def ask(self):
        print("libraries print what they like")
        return {"config": {column.name: self.value(column) for column in self.columns}}

    def value(self, column):
        return (
            self.random.choice(column.levels)
            if column.levels
            else self.random.uniform(column.low, column.high)
        )

    def tell(self, handle, costs, seconds):
        pass


class Raising(Shuffled):
    """Has two ideas."""

    def tell(self, handle, costs, seconds):
        raise ValueError("no more ideas")


class Dying(Shuffled):
    """Is killed."""

    def tell(self, handle, costs, seconds):
        sys.stderr.write("out of memory\n")
        sys.stderr.flush()
        os._exit(3)


class Hanging(Shuffled):
    """Thinks for ever."""

    def tell(self, handle, costs, seconds):
        time.sleep(60)


class Outside(Shuffled):
    """Proposes what is not there."""

    def value(self, column):
        return "x"
