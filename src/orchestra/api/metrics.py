"""Figures in the text format of Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from orchestra.api.request_figures import BUCKETS, RequestFigures
from orchestra.domain.models.figures import Figures
from orchestra.domain.states import Queue

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Sample = tuple[Mapping[str, str], float]


def render(figures: Figures, requests: RequestFigures, *, streams: int, version: str) -> str:
    """Return all figures as text."""
    lines = (*_cluster(figures), *_server(requests, streams, version))
    return "\n".join(lines) + "\n"


def _cluster(figures: Figures) -> Iterator[str]:
    queues = figures.queues
    yield from _gauge("tasks", "Live tasks.", _by_queue({q: queues[q].tasks for q in queues}))
    yield from _gauge(
        "jobs",
        "Jobs of live tasks by status.",
        [
            ({"queue": queue.value, "state": state}, count)
            for queue in queues
            for state, count in queues[queue].jobs.items()
        ],
    )
    yield from _gauge(
        "slots",
        "Enabled slots of nodes that are online and not drained.",
        _by_queue({q: queues[q].slots for q in queues}),
    )
    yield from _gauge(
        "slots_in_use",
        "Slots that jobs take.",
        _by_queue({q: queues[q].slots_in_use for q in queues}),
    )
    yield from _gauge(
        "nodes",
        "Nodes by whether their pilot answers.",
        [
            ({"online": "true"}, figures.nodes_online),
            ({"online": "false"}, figures.nodes - figures.nodes_online),
        ],
    )
    yield from _gauge(
        "attempts_ended_lately",
        "Attempts that ended in the last five minutes, by cause, among the latest 2,000 events.",
        [({"cause": cause}, end.attempts) for cause, end in figures.ends.items()],
    )
    started = sum(end.started for end in figures.ends.values())
    waited = sum(end.waited for end in figures.ends.values())
    yield from _gauge(
        "start_delay_seconds",
        "Mean time between claim and start of the attempts that ended lately.",
        [({}, waited / started if started else 0.0)],
    )
    yield from _metric("claims_total", "counter", "Claims of jobs.", [({}, figures.claims)])
    yield from _gauge("mails_waiting", "Mails that are not sent yet.", [({}, figures.mails)])
    yield from _gauge("conductor_term", "The conductor's term.", [({}, figures.conductor_term)])
    yield from _gauge(
        "conductor_alive", "Whether a conductor holds its term.", [({}, figures.conductor_alive)]
    )


def _server(requests: RequestFigures, streams: int, version: str) -> Iterator[str]:
    yield from _gauge("server_info", "This server.", [({"version": version}, 1)])
    yield from _gauge("server_streams", "Open streams of pages.", [({}, streams)])
    yield from _metric(
        "server_answers_total",
        "counter",
        "Answers of this server by class of status.",
        [({"status": status}, count) for status, count in sorted(requests.answers.items())],
    )
    name = "server_answer_seconds"
    counts = list(accumulate(requests.buckets))
    yield from _head(name, "histogram", "Seconds until this server's answers began.")
    for end, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
        yield _line(f"{name}_bucket", {"le": end}, count)
    yield _line(f"{name}_sum", {}, requests.seconds)
    yield _line(f"{name}_count", {}, counts[-1])


def _by_queue(counts: Mapping[Queue, int]) -> list[_Sample]:
    return [({"queue": queue.value}, count) for queue, count in counts.items()]


def _gauge(name: str, meaning: str, samples: Iterable[_Sample]) -> Iterator[str]:
    return _metric(name, "gauge", meaning, samples)


def _metric(name: str, kind: str, meaning: str, samples: Iterable[_Sample]) -> Iterator[str]:
    yield from _head(name, kind, meaning)
    for labels, value in samples:
        yield _line(name, labels, value)


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP orchestra_{name} {meaning}"
    yield f"# TYPE orchestra_{name} {kind}"


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    text = ",".join(f'{key}="{_escaped(word)}"' for key, word in labels.items())
    return f"orchestra_{name}{f'{{{text}}}' if text else ''} {float(value):.10g}"


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
