"""`python audited.py LOG FOLDER COMMAND...`: maestro, and a log of what Python does to paths below a folder."""

from __future__ import annotations

import os
import sys


def main() -> int:
    _, log, folder, *command = sys.argv
    said = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        for each in arguments:
            if isinstance(each, str | bytes | os.PathLike) and folder in os.fsdecode(each):
                os.write(said, f"{event} {os.fsdecode(each)}\n".encode())

    sys.addaudithook(hook)
    from orchestra.cli.main import main as maestro

    sys.argv = ["maestro", *command]
    return maestro()


if __name__ == "__main__":
    sys.exit(main())
