"""Failures are grouped by their reasons and by the last lines of their logs, whatever numbers these have."""

from __future__ import annotations

import pytest

from orchestra.domain.errors import BadInput
from orchestra.domain.failure_groups import Ending, by_node, grouped
from orchestra.domain.failure_reasons import Reason, parse_reason
from orchestra.domain.log_lines import END, last_line_pattern
from orchestra.domain.models.failures import JobsOnNode
from orchestra.domain.states import Cause


@pytest.mark.parametrize(
    ("end", "pattern"),
    [
        (b"begin\nloss is nan at step 512\n\n", "loss is nan at step *"),
        (b"loss is nan at step 7 (lr 1.5e-3, 0xff)", "loss is nan at step * (lr *, *)"),
        (b"\x1b[1;31mValueError:\x1b[0m no\r\n", "*ValueError:* no"),
        (b" 10%|# | 1/9\r 20%|##| 2/9 \r", "*%|##| */*"),
        (b"404\n", "404"),
        (b"bad byte \xff\x00 here", "bad byte * here"),
        ("não há memória\n".encode(), "não há memória"),
        (b"x" * END, "*" + "x" * 159 + "*"),
        (b" \n\r\n", None),
        (b"", None),
        (None, None),
    ],
)
def test_the_last_line_of_a_log_as_a_pattern(end: bytes | None, pattern: str | None) -> None:
    assert last_line_pattern(end) == pattern


@pytest.mark.parametrize(
    ("reason", "code", "words"),
    [
        (Reason(Cause.EXIT, 3), "exit:3", "exit status 3"),
        (Reason(Cause.EXIT), "exit", "any exit status"),
        (Reason(Cause.SIGNAL, 9), "signal:9", "killed by signal 9 (SIGKILL)"),
        (Reason(Cause.SIGNAL), "signal", "killed by any signal"),
        (Reason(Cause.TIMEOUT), "timeout", "exceeded its timeout"),
        (Reason(Cause.GPU_OUT_OF_MEMORY), "gpu_out_of_memory", "the GPU's memory was full"),
    ],
)
def test_a_reason_is_a_code_and_words(reason: Reason, code: str, words: str) -> None:
    assert str(reason) == code
    assert parse_reason(code) == reason
    assert reason.words == words


@pytest.mark.parametrize("code", ["", "exit:", "exit:x", "exit:-1", "timeout:3", "exits", "exit:²"])
def test_what_is_no_reason_is_refused(code: str) -> None:
    with pytest.raises(BadInput, match="is not a reason") as error:
        parse_reason(code)
    assert "exit:1" in str(error.value.hint)


def test_every_cause_has_a_code() -> None:
    for cause in Cause:
        assert parse_reason(str(Reason(cause))).words


def test_the_largest_group_is_first_and_says_where() -> None:
    endings = [
        Ending(1, 1, "gauss", Cause.EXIT, 3, None),
        Ending(2, 1, "noether", Cause.TIMEOUT, None, 15),
        Ending(3, 1, "noether", Cause.TIMEOUT, None, 9),
        Ending(4, 1, None, Cause.EXIT, 1, None),
    ]
    groups = grouped(endings, lambda ending: str(ending.reason))
    assert [(reason, [each.index for each in group]) for reason, group in groups] == [
        ("timeout", [2, 3]),
        ("exit:3", [1]),
        ("exit:1", [4]),
    ]
    assert by_node(endings) == (
        JobsOnNode("noether", 2),
        JobsOnNode(None, 1),
        JobsOnNode("gauss", 1),
    )
