"""YAML within bounds, plain data only. A few lines of aliases can expand to billions of values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from orchestra.domain.documents.bounds import Bounds, Unusable

_TAG_AT_MOST = 200
"""Characters; a directive can expand one a thousandfold."""
_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
_BEGINS_NUMBER = frozenset("-+.0123456789")
_PARTS = re.compile("[-+0-9_:.]*")
_PARTS_AT_MOST = 100
"""Parts of a number in base 60, such as 1:30:00."""


def parse(content: bytes | str, bounds: Bounds) -> Any:
    """Parse a text.

    Raises:
        Unusable: it is not valid YAML, exceeds the bounds, or refers to itself.
    """
    import yaml

    try:
        check(content, bounds)
        return yaml.load(content, Loader=_loader())  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        if "maximum nesting depth" in str(
            error
        ):  # libyaml's own limit, which its look-ahead may reach first
            bounds.check_depth(bounds.depth + 1)
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise Unusable(f"is not valid YAML{where}") from None
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        # PyYAML lets these errors through for values that do not fit their tag: !!int "", !!timestamp x.
        raise Unusable(f"is not valid YAML ({error})") from None


def check(content: bytes | str, bounds: Bounds) -> None:
    """Measure a text before it is parsed.

    Raises:
        Unusable: it exceeds the bounds, or refers to itself.
        yaml.YAMLError: it is not valid YAML.
    """
    import yaml

    bounds.check_size(len(content))
    try:
        _Measure(bounds).take(yaml.parse(content, Loader=_loader()))
    except yaml.YAMLError as error:
        if "maximum nesting depth" in str(
            error
        ):  # libyaml's own limit, reached while looking ahead
            bounds.check_depth(bounds.depth + 1)
        raise


@cache
def _loader() -> Any:
    """A safe loader that reads 1e-3 as a number, as YAML 1.2 does; PyYAML's reads it as text."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    number = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return Loader


@dataclass(slots=True)
class _Node:
    """The expanded number of values of a node, and its depth. `open`: its end has not been reached."""

    values: int = 1
    depth: int = 0
    open: bool = False


class _Measure:
    """Measures a stream of events; an alias counts for what it expands to."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._anchors: dict[str, _Node] = {}
        self._above = [_Node(values=0)]

    def take(self, events: Iterator[Any]) -> None:
        """Measure the first document.

        Raises:
            Unusable: it exceeds the bounds, or refers to itself.
        """
        import yaml

        for event in events:
            match event:
                case yaml.ScalarEvent():
                    self._check_scalar(event)
                    self._add(self._named(event, _Node()))
                case yaml.AliasEvent():
                    self._add_alias(event.anchor)
                case yaml.CollectionStartEvent():
                    self._above.append(self._named(event, _Node(depth=1, open=True)))
                    self._bounds.check_depth(len(self._above) - 1)
                case yaml.CollectionEndEvent():
                    node = self._above.pop()
                    node.open = False
                    self._add(node)
                case yaml.DocumentEndEvent():
                    return

    def _named(self, event: Any, node: _Node) -> _Node:
        if event.anchor:
            self._anchors[event.anchor] = node
        if event.tag and len(event.tag) > _TAG_AT_MOST:
            raise Unusable(f"has a tag of more than {_TAG_AT_MOST} letters")
        return node

    def _add_alias(self, name: str) -> None:
        node = self._anchors.get(name, _Node())  # where there is none, the loader says where
        if node.open:
            raise Unusable(f"refers to itself (*{name[:40]})")
        self._add(node)

    def _add(self, node: _Node) -> None:
        """Add a node to its parent."""
        above = self._above[-1]
        above.values += node.values
        above.depth = max(above.depth, node.depth + 1)
        self._bounds.check_values(above.values)
        self._bounds.check_depth(len(self._above) - 1 + node.depth)

    def _check_scalar(self, event: Any) -> None:
        text: str = event.value
        is_plain = event.implicit[0] and text[:1] in _BEGINS_NUMBER
        if not (is_plain or event.tag in _NUMBERS):
            return
        self._bounds.check_digits(text)
        if text.count(":") > _PARTS_AT_MOST and _PARTS.fullmatch(text):
            raise Unusable(f"has a number of more than {_PARTS_AT_MOST} parts")
