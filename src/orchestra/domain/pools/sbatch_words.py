"""Further words for `sbatch` that a person gives to a pool, checked. Pure.

Names of options, and which take a value: sbatch(1) of Slurm 22.05 to 24.11. `sbatch` accepts abbreviated long options,
so an abbreviation of a reserved one is refused, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.storable import check_text
from orchestra.domain.wording import Field, words

LONGEST_WORD = 1000
MOST_WORDS = 50

_HAS_OPTION = {
    "partition": Field.PARTITION,
    "account": Field.ACCOUNT,
    "qos": Field.QOS,
    "constraint": Field.CONSTRAINT,
    "gres": Field.GRES,
    "cpus-per-task": Field.CPUS,
    "mem": Field.MEMORY,
    "mem-per-cpu": Field.MEMORY,
    "mem-per-gpu": Field.MEMORY,
    "gpus": Field.GPUS,
    "gpus-per-node": Field.GPUS,
    "gpus-per-task": Field.GPUS,
    "gpus-per-socket": Field.GPUS,
    "nodes": Field.NODES,
    "time": Field.WALLTIME,
}
"""Options of sbatch that a pool has under a name of its own."""
_OWN = (
    "array",
    "chdir",
    "error",
    "export",
    "export-file",
    "get-user-env",
    "gid",
    "help",
    "input",
    "job-name",
    "no-requeue",
    "ntasks",
    "ntasks-per-core",
    "ntasks-per-gpu",
    "ntasks-per-node",
    "ntasks-per-socket",
    "output",
    "parsable",
    "quiet",
    "requeue",
    "signal",
    "test-only",
    "uid",
    "usage",
    "verbose",
    "version",
    "wait",
    "wrap",
)
"""Options that Orchestra sets itself, or that would take away what it relies on."""
_HARMFUL = {
    "clusters": "set SLURM_CLUSTERS for the process that runs the pool",
    "dependency": "a pilot must not wait for other jobs",
    "hold": "a pilot that is held never starts; pause the pool instead",
}
"""Options with which a pool would not work, and why."""
_SHORT = {
    "a": "array", "A": "account", "c": "cpus-per-task", "C": "constraint", "d": "dependency", "D": "chdir",
    "e": "error", "G": "gpus", "h": "help", "H": "hold", "i": "input", "J": "job-name", "M": "clusters",
    "n": "ntasks", "N": "nodes", "o": "output", "p": "partition", "q": "qos", "Q": "quiet", "t": "time",
    "v": "verbose", "V": "version", "W": "wait",
}  # fmt: skip
_SHORT_FLAGS = "IkOsX"
"""Short options without a value: others may follow in the same word."""


def joined(given: Sequence[str]) -> tuple[str, ...]:
    """Return words for `sbatch` with each option and its value in one word: `--exclude n1` becomes `--exclude=n1`.

    A word without an option would be taken for the script that is to run.

    Raises:
        BadInput: a word is no option, or one that Orchestra sets itself.
    """
    found = list(_joined(given))
    if len(found) > MOST_WORDS:
        raise BadInput(words(Field.SBATCH, f" has more than {MOST_WORDS} options."), field="sbatch")
    for word in found:
        _check_storable(word)
        _check_own(word)
    return tuple(found)


def _joined(given: Sequence[str]) -> Iterator[str]:
    option = ""
    for word in given:
        if word.startswith("-") and word.strip("-"):
            if option:
                yield option
            option = word
        elif not option or not word.strip("-"):
            raise BadInput(
                words(f'"{one_line(word)}" in ', Field.SBATCH, " is not an option of sbatch."),
                field="sbatch",
            )
        else:
            yield f"{option}={word}" if option.startswith("--") else f"{option}{word}"
            option = ""
    if option:
        yield option


def _check_storable(word: str) -> None:
    check_text(words(f'"{one_line(word)}" in ', Field.SBATCH), word, most=LONGEST_WORD)
    if any(ord(char) < 32 or ord(char) == 127 for char in word):
        raise BadInput(
            words(f'"{one_line(word)}" in ', Field.SBATCH, " has a control character."),
            field="sbatch",
        )


def _check_own(word: str) -> None:
    typed, name = _option(word)
    if name in _HAS_OPTION:
        raise BadInput(
            words(f"{typed} cannot be in ", Field.SBATCH, ": use ", _HAS_OPTION[name], "."),
            field="sbatch",
        )
    if name in _OWN:
        raise BadInput(
            words(f"{typed} cannot be in ", Field.SBATCH, ", since Orchestra sets it itself."),
            field="sbatch",
        )
    if name in _HARMFUL:
        raise BadInput(
            words(f"{typed} cannot be in ", Field.SBATCH, f": {_HARMFUL[name]}."), field="sbatch"
        )


def _option(word: str) -> tuple[str, str]:
    """Return an option as it was typed, without its value, and its full name as far as that is reserved."""
    if not word.startswith("--"):
        letter = word[1:].lstrip(_SHORT_FLAGS)[:1]
        return f"-{letter}", _SHORT.get(letter, "")
    name = word[2:].partition("=")[0]
    reserved = (*_HAS_OPTION, *_OWN, *_HARMFUL)
    if name in reserved:
        return f"--{name}", name
    return f"--{name}", next((each for each in reserved if each.startswith(name)), "")
