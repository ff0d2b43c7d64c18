"""Builds the documentation into build/docs, offline; warnings are errors: python -m scripts.build_docs."""

import os
import subprocess
import sys

from scripts.check_types import ROOT, make_tree

BUILD = ROOT / "build"
COMMAND = (sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", "../mkdocs.yml")
ENVIRONMENT = {"NO_MKDOCS_2_WARNING": "1"}
"""No advertisement of the theme's successor between the lines."""


def main() -> int:
    """The API reference reads the package as it is installed, from the links that the type checker reads.

    It is run from the folder of the build: a folder ``mohb_jax`` beside the caller would be read instead.
    """
    make_tree(BUILD / "link_tree")
    return subprocess.run(COMMAND, cwd=BUILD, env=os.environ | ENVIRONMENT).returncode


if __name__ == "__main__":
    sys.exit(main())
