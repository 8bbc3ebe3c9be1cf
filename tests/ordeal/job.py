"""A job that records what it does: `python -I -S job.py TRUTH CONFIG`.

CONFIG is its plan in JSON. It appends one line to the file TRUTH/NAME when it starts and one when it ends, each with
its attempt, its token and the monotonic clock. As long as any process of an attempt lives, it holds a lock on a file
of that attempt, so that another attempt that starts detects it, independently of the database.
"""

import fcntl
import json
import os
import signal
import sys
import time


def main() -> None:
    truth, config = sys.argv[1:]
    with open(config, encoding="utf-8") as file:  # noqa: PTH123 - -S: as little as possible is imported
        plan = json.load(file)
    attempt, token = int(os.environ["ORCHESTRA_ATTEMPT"]), os.environ["ORCHESTRA_TOKEN"]
    path = os.path.join(truth, plan["name"])  # noqa: PTH118
    signal.signal(signal.SIGTERM, signal.SIG_IGN if plan["stubborn"] else signal.SIG_DFL)
    lock(f"{path}.{token}.lock")
    line = {"attempt": attempt, "token": token, "pid": os.getpid()}
    say(
        path,
        {
            **line,
            "what": "start",
            "folder": os.getcwd(),  # noqa: PTH109
            "beside": beside(truth, plan["name"], token),
        },
    )
    for number in range(plan["children"]):
        fork(plan["seconds"] + plan["lingers"], own_session=number % 2 == 1)
    time.sleep(plan["seconds"])
    status = plan["status"] if attempt in plan["fails"] or "always" in plan["fails"] else 0
    say(path, {**line, "what": "end", "status": status})
    os._exit(status)


def lock(path: str) -> None:
    """Lock a file as long as this process or a child of it lives."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    os.set_inheritable(descriptor, True)
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def beside(truth: str, name: str, own: str) -> list[str]:
    """Return the tokens of the other attempts of this job that are alive."""
    found = []
    for entry in os.listdir(truth):
        job, _, rest = entry.partition(".")
        if job == name and rest.endswith(".lock") and not rest.startswith(own):
            descriptor = os.open(os.path.join(truth, entry), os.O_RDWR)  # noqa: PTH118
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(rest.removesuffix(".lock"))
            os.close(descriptor)
    return found


def fork(seconds: float, *, own_session: bool) -> None:
    if os.fork() == 0:
        if own_session:
            os.setsid()
        time.sleep(seconds)
        os._exit(0)


def say(path: str, line: dict[str, object]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, (json.dumps({**line, "at": time.monotonic()}) + "\n").encode())
    os.close(descriptor)


if __name__ == "__main__":
    main()
