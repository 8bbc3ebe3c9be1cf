"""Run every benchmark, each in a process of its own, and write docs/performance.md."""

from __future__ import annotations

import subprocess
import sys

from bench.page import DOCS

BENCHMARKS = (
    "throughput",
    "claims",
    "order",
    "commands",
    "latency",
    "small_tasks",
    "scale",
    "simulate",
    "idle",
    "streams",
    "pages",
    "containers",
)


def main() -> int:
    failed = []
    for name in BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", f"bench.{name}", "--docs", str(DOCS), *sys.argv[1:]]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"these benchmarks failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
