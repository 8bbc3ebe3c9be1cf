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


def nearest_name(word: str, known: Iterable[str]) -> str | None:
    """The same for names `user.<username>.<name>`: whose they are says nothing about what was meant."""
    names = list(known)
    guess = nearest(word, names)
    if guess is None or guess.lower() == word.lower():
        return guess
    # Every name of one user begins alike, and would be alike for that reason alone.
    first = word.rpartition(".")[0]
    of_first = {name.rpartition(".")[2]: name for name in names if name.rpartition(".")[0] == first}
    if not of_first:
        return guess
    close = nearest(word.rpartition(".")[2], of_first)
    return of_first[close] if close else None
