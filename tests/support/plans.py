"""Reads the plan of a statement: which tables it scans completely, and how many pages it touches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

BIG = {"job", "attempt", "event", "dataset_file", "attempt_metrics", "dataset_text"}
"""The tables that grow with the number of jobs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What PostgreSQL did for a statement."""

    root: dict[str, Any]

    @property
    def walked(self) -> set[str]:
        """The big tables that were scanned completely."""
        found = {
            str(node.get("Relation Name"))
            for node in _nodes(self.root)
            if node["Node Type"] in ("Seq Scan", "Parallel Seq Scan")
        }
        return found & BIG

    @property
    def indexes(self) -> set[str]:
        return {node["Index Name"] for node in _nodes(self.root) if "Index Name" in node}

    @property
    def buffers(self) -> int:
        """Pages that were touched."""
        return int(self.root["Shared Hit Blocks"]) + int(self.root["Shared Read Blocks"])


def plan(conn: psycopg.Connection, statement: Any, params: Mapping[str, Any]) -> Plan:
    """Run a statement and return its plan; its changes are rolled back."""
    explain = "explain (analyze, buffers, timing off, format json) "
    with conn.transaction(force_rollback=True):
        row = conn.execute(explain + statement, params).fetchone()
    assert row
    found = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return Plan(found[0]["Plan"])


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)
