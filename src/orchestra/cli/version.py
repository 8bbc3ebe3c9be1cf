"""`maestro version`, also `maestro --version`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.registry import Verb

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.wiring.versions import Versions

JSON_FORMAT = 1
"""The number of the JSON format: it goes up with an incompatible change of any command's JSON."""


def in_words(found: Versions) -> str:
    """Return the versions in one line."""
    return (
        f"maestro {found.program} (schema {found.schema}, keeper protocol {found.keeper_protocol})"
    )


def _show(ctx: Context) -> None:
    from orchestra.wiring.versions import versions

    ctx.out.item(
        versions(),
        lambda found: [in_words(found)],
        record=lambda found: {
            "version": found.program,
            "json_format": JSON_FORMAT,
            "schema": found.schema,
            "keeper_protocol": found.keeper_protocol,
        },
        key=lambda found: found.program,
    )


VERBS = (
    Verb(
        "version",
        "show the versions of the program, the schema, the keeper protocol and the JSON format",
        _show,
        example="maestro version\nmaestro version -o json",
        output=True,
    ),
)
