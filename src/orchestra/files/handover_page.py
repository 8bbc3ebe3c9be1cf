"""A page in a private file that leads a browser to an address, which others must not see in the list of processes."""

from __future__ import annotations

import html
import os
import tempfile
from pathlib import Path

_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Orchestra</title>
<meta http-equiv="refresh" content="0; url={link}">
<p><a href="{link}">Go on to the pages</a>
"""


def handover_page(link: str) -> Path:
    """Write the page to a new file that only its owner can read.

    Raises:
        OSError: it cannot be written.
    """
    folder = os.environ.get("XDG_RUNTIME_DIR") or None
    handle, name = tempfile.mkstemp(prefix="maestro-web-", suffix=".html", dir=folder)
    with os.fdopen(handle, "w") as file:
        file.write(_PAGE.format(link=html.escape(link)))
    return Path(name)
