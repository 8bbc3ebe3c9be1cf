"""Usage: what is asked for, the table in hours, and the chart."""

from __future__ import annotations

from datetime import date

import pytest

from orchestra.domain import accounting
from orchestra.domain.accounting import first_day, hours, hours_of_both, last_day, parse_keys
from orchestra.domain.charts.usage import every, over_time
from orchestra.domain.errors import BadInput
from orchestra.domain.models.accounts import UsageKey, UsageRow, Used

TODAY = date(2026, 11, 26)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-03", date(2026, 11, 3), date(2026, 11, 3)),
        ("2026-2", date(2026, 2, 1), date(2026, 2, 28)),
        (" 2024-02 ", date(2024, 2, 1), date(2024, 2, 29)),
        ("2025", date(2025, 1, 1), date(2025, 12, 31)),
        ("30d", date(2026, 10, 27), date(2026, 10, 27)),
        ("0d", TODAY, TODAY),
    ],
)
def test_days_of_a_period(text: str, first: date, last: date) -> None:
    assert (first_day(text, TODAY), last_day(text, TODAY)) == (first, last)


@pytest.mark.parametrize("text", ["", "soon", "2026-13", "2026-02-30", "0000", "26-11-03", "²026"])
def test_what_is_no_day(text: str) -> None:
    with pytest.raises(BadInput, match="is not a day"):
        first_day(text, TODAY)


def test_what_to_sum_by() -> None:
    assert parse_keys("user, Month") == (UsageKey.USER, UsageKey.MONTH)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("usr,month", 'by "usr". Did you mean "user"?'),
        ("days", 'by "days". Did you mean "day"?'),
        ("colour", 'by "colour".'),
        ("", "summed by user, task, node, queue, day or month"),
        ("user,day,user", 'by "user" twice'),
    ],
)
def test_what_cannot_be_summed_by(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_keys(text)
    assert message in str(caught.value)


def test_a_period_ends_after_it_begins() -> None:
    accounting.check_period(TODAY, TODAY)
    with pytest.raises(BadInput, match="ends on 2026-11-25, before it begins on 2026-11-26"):
        accounting.check_period(TODAY, date(2026, 11, 25))


def test_hours_for_people() -> None:
    shown = [hours(3600 * value) for value in (0, -1e-9, 1e-5, 0.012, 0.1, 3.44, 99.96, 1207.9)]
    assert shown == ["0", "0", "< 0.001", "0.012", "0.1", "3.4", "100", "1,208"]
    assert [hours_of_both(5400, 0), hours_of_both(5400, 720)] == ["1.5", "1.5 + 0.2 GPU"]


def test_a_table_has_hours_and_a_task_its_number() -> None:
    used = Used(attempts=3, done=2, failed=1, cpu_requested=7200, memory_requested=3.6e12)
    row = UsageRow(used, task="user.ana.fit", task_id=7, node="gauss")
    sheet = accounting.sheet([row], (UsageKey.NODE, UsageKey.TASK))
    [record] = sheet.records()
    assert list(record)[:4] == ["node", "task_id", "task", "jobs_done"]
    assert (record["task_id"], record["cpu_hours_requested"]) == (7, 2.0)
    assert record["memory_gb_hours_requested"] == 1.0
    assert used + used == Used(6, 4, 2, cpu_requested=14400, memory_requested=7.2e12)


def test_the_chart_has_a_line_for_each_of_the_largest_users() -> None:
    months = ("2026-10", "2026-11")
    rows = [
        UsageRow(Used(cpu_requested=3600.0 * n, gpu_requested=60.0), user=f"u{n}", month=months[1])
        for n in range(1, 9)
    ]
    cpu, gpu = over_time(rows, UsageKey.MONTH, months)
    assert [line.name for line in cpu.series] == ["u8", "u7", "u6", "u5", "u4", "others"]
    assert [mean.mean for mean in cpu.series[0].means] == [0, 8]
    assert cpu.series[-1].means[1].mean == 1 + 2 + 3
    assert gpu.title == "GPU hours requested by month"
    assert over_time([], UsageKey.DAY, ()) == []


def test_the_axis_has_every_day_or_month() -> None:
    assert every(UsageKey.DAY, {"2026-11-02", "2026-10-31"}) == [
        "2026-10-31", "2026-11-01", "2026-11-02"
    ]  # fmt: skip
    assert every(UsageKey.MONTH, {"2025-12", "2026-02"}) == ["2025-12", "2026-01", "2026-02"]
    assert every(UsageKey.DAY, ()) == []
    row = UsageRow(Used(cpu_requested=60.0), user="ana", day="2026-11-02")
    [chart] = over_time([row], UsageKey.DAY, ("2026-11-01", "2026-11-02"))
    assert chart.x.names == ("11-01", "11-02")
