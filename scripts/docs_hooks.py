"""What the site does beside the plugins of mkdocs (mkdocs.yml): a page may show the cells of a script."""

import re
from pathlib import Path
from typing import Any

MARKER = re.compile(r"<!-- cells of (\S+\.py) -->")
CELL = re.compile(r"^# %%(?P<text> \[markdown\])?\n(?P<body>.*?)(?=^# %%|\Z)", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Puts the cells of a script that lies beside the page in the place of ``<!-- cells of NAME.py -->``."""
    folder = Path(page.file.abs_src_path).parent
    return MARKER.sub(lambda found: cells(folder.joinpath(found[1]).read_text(encoding="utf-8")), markdown)


def cells(script: str) -> str:
    """Markdown of a script: cells of text without their comment signs, cells of code as blocks."""
    return "\n\n".join(
        _shown(cell["body"].strip(), cell["text"] is not None) for cell in CELL.finditer(script)
    )


def _shown(body: str, is_text: bool) -> str:
    if is_text:
        return re.sub(r"^# ?", "", body, flags=re.MULTILINE)
    return f"```python\n{body}\n```"
