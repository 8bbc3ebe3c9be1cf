"""Adds what is made from the parsers to a wheel and to a source distribution: manual pages and completion files.

hatchling calls it (`[tool.hatch.build.hooks.custom]` in pyproject.toml).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Where these shells look below the prefix of a program. tcsh has no such folder.
COMPLETIONS = {
    "bash": "share/bash-completion/completions/maestro",
    "fish": "share/fish/vendor_completions.d/maestro.fish",
    "zsh": "share/zsh/site-functions/_maestro",
}


def generated_files() -> dict[str, str]:
    """The text of each file by its path below the prefix of an installation."""
    from orchestra.cli.completion import script
    from tools import man_pages

    files = {path: script(shell) for shell, path in COMPLETIONS.items()}
    return files | {f"share/man/man1/{name}": text for name, text in man_pages.pages().items()}


class GeneratedFiles(BuildHookInterface):  # type: ignore[type-arg]
    """Writes the files into a temporary folder that the builder takes them from."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add them to the build, unless it is an editable installation."""
        if version == "editable":
            return
        sys.path[:0] = [f"{self.root}/src", self.root]
        self._folder = tempfile.TemporaryDirectory()
        kind = "shared_data" if self.target_name == "wheel" else "force_include"
        for path, text in generated_files().items():
            source = Path(self._folder.name, path.replace("/", "_"))
            source.write_text(text, encoding="utf-8")
            build_data[kind][str(source)] = path
