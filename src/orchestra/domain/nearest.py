"""The known word that a misspelled one probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known word most similar to `word`, or None; `cutoff` is difflib's, from 0 to 1."""
    import difflib

    lower = {name.lower(): name for name in known}
    if word.lower() in lower:
        return lower[word.lower()]
    close = difflib.get_close_matches(word.lower(), list(lower), n=1, cutoff=cutoff)
    return lower[close[0]] if close else None


def nearest_name(word: str, known: Iterable[str]) -> str | None:
    """The same for names `user.<username>.<name>`: within one user's names only the last part is compared."""
    names = list(known)
    guess = nearest(word, names)
    if guess is None or guess.lower() == word.lower():
        return guess
    # All names of one user share a prefix and would be similar for that reason alone.
    first = word.rpartition(".")[0]
    of_first = {name.rpartition(".")[2]: name for name in names if name.rpartition(".")[0] == first}
    if not of_first:
        return guess
    close = nearest(word.rpartition(".")[2], of_first)
    return of_first[close] if close else None
