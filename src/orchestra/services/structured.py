"""Files with values in them: JSON, YAML, TOML, by their names. What is read is small and never run."""

from __future__ import annotations

import json
import os
import re
import stat
from functools import cache
from typing import Any

from orchestra.domain.human import size

LIMIT = 1_000_000
"""Bytes. A file with more in it holds no values for a table."""
SUFFIXES = (".json", ".yaml", ".yml", ".toml")


class Unusable(Exception):
    """A file has no values; the text says why, to stand behind the file's name."""


def load(path: str) -> bytes:
    """Give what is in a file.

    Raises:
        Unusable: it is not there, no regular file, too large, or cannot be read.
    """
    try:
        # Not blocking: a named pipe would never open.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Unusable("is missing") from None
    except (OSError, ValueError) as error:
        raise Unusable(f"cannot be read: {getattr(error, 'strerror', error)}") from None
    try:
        content = _all_of(descriptor)
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    return content


def _all_of(descriptor: int) -> bytes:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise Unusable("is no regular file")
    if found.st_size > LIMIT:
        raise Unusable(f"has {size(found.st_size)}; at most {size(LIMIT)} is read")
    # One byte more than there is: less than what was asked for is the end, without a second look.
    return os.read(descriptor, found.st_size + 1)


def parse(name: str, content: bytes) -> Any:
    """Give the values of a file by its name's ending; without a known one it is taken for JSON.

    Raises:
        Unusable: it is not what its name says; says where.
    """
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - 100,000 names at a time
    try:
        if suffix in (".yaml", ".yml"):
            return _yaml(content)
        if suffix == ".toml":
            import tomllib

            return tomllib.loads(content.decode())
        return json.loads(content)
    except UnicodeDecodeError:
        raise Unusable("is no UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise Unusable(f"is no valid JSON (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise Unusable("is nested too deeply") from None
    except ValueError as error:  # TOML, and times and numbers that are none
        kind = {".toml": "TOML", ".yaml": "YAML", ".yml": "YAML"}.get(suffix, "JSON")
        raise Unusable(f"is no valid {kind} ({error})") from None


@cache
def _loader() -> Any:
    """A safe loader for which 1e-3 is a number, as people mean it and YAML 1.2 says; to PyYAML's it is a text."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    number = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)[eE][-+]?\d+")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return Loader


def _yaml(content: bytes) -> Any:
    import yaml

    try:
        return yaml.load(content, Loader=_loader())  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise Unusable(f"is no valid YAML{where}") from None
