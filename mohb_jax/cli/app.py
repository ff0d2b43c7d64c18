"""The application that the commands are added to, what several of them take, and how all of them end."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mohb_jax.errors import InputError, UserCodeError

app = typer.Typer(
    help="Studies of tuning methods that choose hardware and hyperparameters together.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(
    help="Published tables: fetch them, check them, import your own.", no_args_is_help=True
)
app.add_typer(data_app, name="data")

DataOption = Annotated[
    str | None,
    typer.Option("--data", help="Folder that holds the published files (default: MOHB_DATA, else download)."),
]
ReuseOption = Annotated[
    list[Path] | None,
    typer.Option(
        help="Study folder from which finished units are copied where they answer the same question; "
        "repeatable.",
        show_default=False,
    ),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: bad input ends in one line and exit code 2, an interruption in 130."""
    try:
        code = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        _fail(error.format_message() or "a command is missing: accepted are those above", 2)
    except InputError as error:
        if isinstance(error, UserCodeError) and error.details:
            print(error.details, file=sys.stderr)
        _fail(str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:  # no permission, a full disk, a folder where a file should be
        _fail(f"{error.filename or 'the result'} cannot be read or written: {error.strerror or error}", 2)
    if code == 130:
        _fail("interrupted; finished units are kept, and the same command goes on from there", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> None:
    print(f"mohb: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
