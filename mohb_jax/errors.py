"""The one exception for bad input."""


class InputError(ValueError):
    """Input that cannot be used: its single-line message names the culprit and what is accepted.

    The command line prints the message and exits with code 2. Anything else that escapes is a defect.
    """
