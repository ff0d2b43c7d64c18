"""The repository behind ``deepar`` and ``nasbench201``: each table is a CSV file in a zip archive."""

import io
import zipfile
from pathlib import Path

import polars as pl

from mohb_jax.errors import InputError

_COMMIT = "31cdb2ff29576201c365e77cb1d04d94f83bfe1a"
GEOALGO = (
    "https://github.com/geoalgo/A-Quantile-based-Approach-for-Hyperparameter-Transfer-Learning/raw/"
    f"{_COMMIT}/src/blackbox/offline_evaluations"
)


def read_zipped_csv(path: Path) -> pl.DataFrame:
    """The table in an archive of one member, which is read in memory and never written to disk.

    The member's name is not looked at: in one of the published archives it is an absolute path of its
    author's computer, in both it ends in ``.csv.zip`` although the content is plain CSV.

    Raises:
        InputError: if the file is no archive of one CSV file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (member,) = archive.infolist()
            content = archive.read(member)
        return pl.read_csv(io.BytesIO(content), infer_schema_length=None)
    except (zipfile.BadZipFile, ValueError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{str(path)!r} is damaged; expected a zip archive of one CSV file") from error
