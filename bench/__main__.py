"""Run every benchmark, or those that are named, each in a process of its own, and write docs/performance.md.

python -m bench [NAME...] [OPTION...]
"""

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
    "pools_simulated",
    "idle",
    "streams",
    "pages",
    "containers",
    "pools",
)


def main() -> int:
    named = [word for word in sys.argv[1:] if word in BENCHMARKS]
    options = [word for word in sys.argv[1:] if word not in BENCHMARKS]
    failed = []
    for name in named or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", f"bench.{name}", "--docs", str(DOCS), *options]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"these benchmarks failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
