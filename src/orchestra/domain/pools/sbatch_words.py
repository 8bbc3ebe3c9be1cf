"""Further words for `sbatch` that a person gives to a pool, checked. Pure.

Names of options: sbatch(1) of Slurm 22.05 to 24.11. `sbatch` accepts abbreviated long options, so an abbreviation of a
reserved one is refused, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.storable import check_text
from orchestra.domain.wording import Field, Sentence, words

LONGEST_WORD = 1000
"""Bytes of an option with its value."""
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
    "gpus-per-socket": Field.GPUS,
    "gpus-per-task": Field.GPUS,
    "nodes": Field.NODES,
    "time": Field.WALLTIME,
}
"""Options of sbatch that a pool has under a name of its own."""

_SUBMITS_NOTHING = "it submits nothing"
_ONE_PILOT = "each node of an allocation has one pilot"
_ITS_FILES = "the pool chooses where its pilots write"
_ITS_VARIABLES = "pilots need the variables of the process that submits them"
_ITS_ACCOUNT = "a pilot runs as the account that submits it"
_ITS_SCRIPT = "the script is Orchestra's own"
_ITS_OUTPUT = "Orchestra reads what sbatch prints"

_RESERVED = {
    "array": "a pool submits single jobs, as many as it needs",
    "chdir": "jobs have folders of their own",
    "clusters": "a pool belongs to one cluster: set SLURM_CLUSTERS where its process runs",
    "container": "pilots run outside of containers; a task may have an image",
    "dependency": "a pilot must not wait for other jobs",
    "error": _ITS_FILES,
    "export": _ITS_VARIABLES,
    "export-file": _ITS_VARIABLES,
    "get-user-env": _ITS_VARIABLES,
    "gid": _ITS_ACCOUNT,
    "help": _SUBMITS_NOTHING,
    "hold": "a pilot that is held never starts; pause the pool instead",
    "ignore-pbs": _ITS_SCRIPT,
    "input": "a pilot reads nothing",
    "job-name": "a pool finds its jobs by the names that it gives them",
    "no-requeue": "it is always there",
    "ntasks": _ONE_PILOT,
    "ntasks-per-core": _ONE_PILOT,
    "ntasks-per-gpu": _ONE_PILOT,
    "ntasks-per-node": _ONE_PILOT,
    "ntasks-per-socket": _ONE_PILOT,
    "open-mode": _ITS_FILES,
    "output": _ITS_FILES,
    "parsable": "it is always there",
    "quiet": _ITS_OUTPUT,
    "requeue": "a pilot that has ended is not started again; the pool submits another one",
    "signal": "the pool chooses when its pilots are told to end",
    "test-only": _SUBMITS_NOTHING,
    "uid": _ITS_ACCOUNT,
    "usage": _SUBMITS_NOTHING,
    "verbose": _ITS_OUTPUT,
    "version": _SUBMITS_NOTHING,
    "wait": "sbatch must return at once",
    "wrap": _ITS_SCRIPT,
}
"""Other options that a pool cannot have, and why."""
_LETTERS = {
    "a": "array", "A": "account", "c": "cpus-per-task", "C": "constraint", "d": "dependency", "D": "chdir",
    "e": "error", "G": "gpus", "h": "help", "H": "hold", "i": "input", "J": "job-name", "M": "clusters", "n": "ntasks",
    "N": "nodes", "o": "output", "p": "partition", "q": "qos", "Q": "quiet", "t": "time", "v": "verbose",
    "V": "version", "W": "wait",
}  # fmt: skip
_FLAGS = "IkOsX"
"""Short options without a value, which others may follow in one word."""


def joined(given: Sequence[str]) -> tuple[str, ...]:
    """Return words for `sbatch` with each option and its value in one word: `--exclude n1` becomes `--exclude=n1`.

    A word without an option would be taken for the script that is to run.

    Raises:
        BadInput: a word is no option, or one that a pool cannot have.
    """
    found = tuple(_joined(given))
    if len(found) > MOST_WORDS:
        raise BadInput(words(Field.SBATCH, f" has more than {MOST_WORDS} options."), field="sbatch")
    for word in found:
        if wrong := _wrong(word):
            raise BadInput(wrong, field="sbatch")
    return found


def _joined(given: Sequence[str]) -> Iterator[str]:
    option = ""
    for word in given:
        if word.startswith("-") and word.strip("-"):
            if option:
                yield option
            option = word
        elif not option or not word.strip("-"):
            said = f'"{one_line(word)}" in '
            raise BadInput(
                words(said, Field.SBATCH, " is not an option of sbatch."), field="sbatch"
            )
        else:
            yield f"{option}={word}" if option.startswith("--") else f"{option}{word}"
            option = ""
    if option:
        yield option


def _wrong(word: str) -> Sentence | None:
    check_text(words(f'"{one_line(word)}" in ', Field.SBATCH), word, most=LONGEST_WORD)
    if not word.isprintable():
        return words(f'"{one_line(word)}" in ', Field.SBATCH, " has a control character.")
    typed, name = _long(word) if word.startswith("--") else _short(word)
    if name in _HAS_OPTION:
        return words(f"{typed} cannot be in ", Field.SBATCH, ": use ", _HAS_OPTION[name], ".")
    if name in _RESERVED:
        return words(f"{typed} cannot be in ", Field.SBATCH, f": {_RESERVED[name]}.")
    return None


def _long(word: str) -> tuple[str, str]:
    """Return an option as it was typed, without its value, and the full name of the reserved one that it may be."""
    name = word[2:].partition("=")[0]
    if name.startswith("container"):  # those of Slurm, and of plug-ins such as Pyxis
        return f"--{name}", "container"
    reserved = (*_HAS_OPTION, *_RESERVED)
    full = next((each for each in reserved if each.startswith(name)), "")
    return f"--{name}", name if name in reserved else full


def _short(word: str) -> tuple[str, str]:
    for letter in word[1:]:
        if letter not in _FLAGS:
            return f"-{letter}", _LETTERS.get(letter, "")
    return word, ""
