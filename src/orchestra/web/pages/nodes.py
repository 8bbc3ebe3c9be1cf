"""The nodes: their slots, their pilots, what runs there and what has failed there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.models.nodes import Node
from orchestra.domain.outcome_text import describe_end
from orchestra.domain.states import JobStatus
from orchestra.interface.answers.jobs import FoundJob
from orchestra.interface.cluster import WhySettling
from orchestra.interface.job_search import SearchJobs
from orchestra.interface.nodes import GetNode, ListNodes
from orchestra.web.rendering import page

SHOWN = 50
FAILURES = 200
RECENT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed jobs with the same reason, the latest one first."""

    what: str
    jobs: tuple[FoundJob, ...]


def show_nodes(call: Call) -> Response:
    """Show all nodes."""
    with call.server.interface(call.identity) as ask:
        nodes, settling = ask(ListNodes()), ask(WhySettling())
    return page(call, "nodes.html", here="Nodes", nodes=nodes, settling=settling)


def show_node(call: Call) -> Response:
    """Show one node.

    Raises:
        NotFound: there is none of this name.
    """
    since = datetime.now(UTC) - RECENT
    with call.server.interface(call.identity) as ask:
        node = ask(GetNode(call.params["name"]))
        running = [
            job
            for status in (JobStatus.RUNNING, JobStatus.TESTING, JobStatus.KILL)
            for job in ask(SearchJobs(status=status, node=node.name, limit=SHOWN)).jobs
        ]
        failed = ask(
            SearchJobs(status=JobStatus.FAILED, node=node.name, since=since, limit=FAILURES)
        )
    return page(
        call,
        "node.html",
        here="Nodes",
        node=node,
        running=running,
        failures=list(grouped(failed.jobs)),
        more_failed=failed.following is not None,
        may_change=call.identity.caller.may_change(node.owner),
        may_stop=may_stop(call, node),
    )


def may_stop(call: Call, node: Node) -> bool:
    """Whether a node's pilot may be stopped by who asks: its owner, who started the pilot, and admins."""
    caller = call.identity.caller
    return caller.may_change(node.owner) or caller.name == node.started_by


def grouped(found: tuple[FoundJob, ...]) -> Iterator[Failures]:
    """Yield failed jobs by the reason of their end, the most frequent one first."""
    by_reason: dict[str, list[FoundJob]] = defaultdict(list)
    for each in sorted(found, key=lambda each: each.job.changed_at, reverse=True):
        job = each.job
        what = describe_end(job.cause, job.exit_status, job.signal) if job.cause else "unknown"
        by_reason[what].append(each)
    for what, jobs in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        yield Failures(what, tuple(jobs))


ENDPOINTS = (
    Endpoint("GET", "/nodes", show_nodes),
    Endpoint("GET", "/nodes/{name}", show_node),
)
