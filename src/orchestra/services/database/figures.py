"""Figures for a monitoring system."""

from __future__ import annotations

import psycopg

from orchestra.domain.models.figures import Figures
from orchestra.store.cluster import figures


def read(conn: psycopg.Connection) -> Figures:
    """Return the present figures of the cluster."""
    with conn.transaction():
        return figures.read(conn)
