"""What pilots call, their only access to the database: attach, claim, started, renew, report, reconcile, detach.

Each function is one transaction (after it, a claim reads what never changes). Each statement about an attempt names
job, attempt and token, and each function says what is fenced and what may be repeated. Locks are taken in the order
keeper, task (shared), jobs by (task, index), counts: a mass change locks its task exclusively, so it never sees half a
claim or half a report.
"""

from orchestra.services.work.admissions import Admissions
from orchestra.services.work.attachment import (
    LEASE_SECONDS,
    PROTOCOL,
    attach,
    detach,
    register_keeper,
    renew,
)
from orchestra.services.work.claims import claim
from orchestra.services.work.joining import ask_to_leave
from orchestra.services.work.reconciliation import close_out, inputs, reconcile
from orchestra.services.work.reports import (
    log_parts_asked,
    report,
    send_log_part,
    show_log,
    started,
)

__all__ = [
    "LEASE_SECONDS",
    "PROTOCOL",
    "Admissions",
    "ask_to_leave",
    "attach",
    "claim",
    "close_out",
    "detach",
    "inputs",
    "log_parts_asked",
    "reconcile",
    "register_keeper",
    "renew",
    "report",
    "send_log_part",
    "show_log",
    "started",
]
