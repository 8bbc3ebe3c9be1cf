"""Sentences that name options and commands of the command line, said as a program would type them."""

from __future__ import annotations

import re

# Each is tried in turn on the whole sentence. What has no counterpart in Python (`maestro up`) stays a command.
_SAID = tuple(
    (re.compile(pattern), python)
    for pattern, python in (
        (r"maestro task create --help", "help(client.tasks.create)"),
        (r"maestro task create -c (task:\d+)", r'client.tasks.create(..., config="\1")'),
        (r"maestro (task|dataset) list -a", r"client.\1s.list(all=True)"),
        (r"maestro (task|dataset) list\b", r"client.\1s.list()"),
        (r"maestro dataset update -n (\S+)", r'client.datasets.update("\1")'),
        (r"maestro dataset create -n (\S+) -p (\S+)", r'client.datasets.create("\1", "\2")'),
        (
            r"maestro task retry (\d+) and task kill (\d+)",
            r"client.tasks.get(\1).retry() and .kill()",
        ),
        (r"maestro task (retry|release|kill|wait) (\d+)", r"client.tasks.get(\2).\1()"),
        (r"maestro job (kill|retry|show) (\d+)/(\d+)", r"client.tasks.get(\2).job(\3).\1()"),
        (r"maestro job list (\d+)", r"client.tasks.get(\1).jobs()"),
        (r"--(force|reuse)\b", r"\1=True"),
        (r"--if-not-exists\b", "if_not_exists=True"),
        (r"--sort (-?)(NAME|metrics\.\S*)", r'sort="\1\2"'),
        (r"--queue (cpu|gpu)\b", r'queue="\1"'),
        (r"--after (\d+)", r"after=\1"),
        (r"--sd\b", "secondary"),
        (r"--(bind|image|metrics|format|env)\b", r"\1"),
        (r"(?<!\S)-v\b", "volume"),
        (r"(?<!\S)-p\b", "path"),
    )
)


def in_python(text: str) -> str:
    """Give a sentence of the command line in words of Python: `force=True` for `--force`."""
    for said, python in _SAID:
        text = said.sub(python, text)
    return text
