"""The one exception for bad input."""


class InputError(ValueError):
    """Input that cannot be used: its single-line message names the culprit and what is accepted.

    The command line prints the message and exits with code 2. Anything else that escapes is a defect.
    """


class UserCodeError(InputError):
    """An error in code that a user brought along: the message names the file and the line.

    Attributes:
        details: the traceback from the user's first line on, which the command line prints above the message.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details
