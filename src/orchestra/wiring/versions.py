"""The versions that `maestro --version` prints."""

from __future__ import annotations


def versions() -> str:
    """Return the versions of the program, of the schema that it needs, and of the keeper protocol."""
    from orchestra import __version__
    from orchestra.pilot import keeper
    from orchestra.store.schema import migrations

    return (
        f"maestro {__version__} (schema {migrations.newest()}, keeper protocol {keeper.PROTOCOL})"
    )
