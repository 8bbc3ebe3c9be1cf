"""Which signals stop a process that runs until it is stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from orchestra.cli.local.stopping import stopped_by_signals

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_each_stops_it(number: signal.Signals) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    stop = stopped_by_signals()
    signal.raise_signal(number)
    assert stop.is_set()


def test_nohup_keeps_it_running() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = stopped_by_signals()
    signal.raise_signal(signal.SIGHUP)
    assert not stop.is_set()
