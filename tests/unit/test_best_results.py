"""Which values of the best jobs stand in a mail."""

from __future__ import annotations

from orchestra.domain.result_ranking import arranged
from orchestra.domain.results import Row, table_of
from orchestra.services.tasks.best import telling


def test_a_mail_shows_what_the_best_jobs_have_in_common_before_what_all_have() -> None:
    def of(job: int, hidden: int, seed: int) -> Row:
        values = {"epochs": 30, "hidden": hidden, "seed": seed}
        return Row(job, f"{job}.json", values=values, metrics={"accuracy": hidden + seed})

    table = table_of([of(3, 64, 1), of(2, 64, 0)])
    wanted = table.find("accuracy")
    shown = telling(table, [of(0, 16, 0), of(1, 16, 1)], wanted)
    assert [column.name for column in shown] == ["seed", "hidden", "epochs"]


def test_a_text_or_a_truth_value_is_not_best_beside_numbers() -> None:
    found = ["diverged", True, 0.5, 0.9]
    table = table_of(
        [Row(job=n, config="", metrics={"acc": value}) for n, value in enumerate(found)]
    )
    chosen, _ = arranged(table, limit=3)
    assert [row.job for row in chosen.rows] == [3, 2]
