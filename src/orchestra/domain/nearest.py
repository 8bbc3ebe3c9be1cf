"""The known word that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Give the known word that is most like this one, None where none is; `cutoff` is difflib's, 0 to 1."""
    import difflib

    lower = {name.lower(): name for name in known}
    if word.lower() in lower:
        return lower[word.lower()]
    close = difflib.get_close_matches(word.lower(), list(lower), n=1, cutoff=cutoff)
    return lower[close[0]] if close else None
