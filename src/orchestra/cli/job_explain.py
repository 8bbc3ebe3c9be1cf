"""`maestro job explain`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestra import command_words
from orchestra.cli.output import Record, clean

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.interface.answers.explanations import Explained


def explain(ctx: Context) -> None:
    from orchestra.interface.explanations import ExplainJob

    with ctx.interface() as ask:
        found = ask(ExplainJob(ctx.names.job(ctx.args.job)))
    ctx.out.item(found, _lines, record=_record, key=lambda each: each.facts.address)


def _lines(found: Explained) -> Iterator[str]:
    yield clean(found.explanation.headline)
    for sentence in _sentences(found):
        yield f"  {clean(sentence)}"


def _sentences(found: Explained) -> list[str]:
    return [command_words.worded(each) for each in found.explanation.told]


def _record(found: Explained) -> Record:
    facts = found.facts
    return {
        "task_id": facts.task.id,
        "task": facts.task.name,
        "ordinal": facts.job.index,
        "state": facts.job.state.value,
        "claimed": facts.job.claimed,
        "headline": found.explanation.headline,
        "sentences": _sentences(found),
        "starts_in_seconds": found.explanation.starts_in,
        "not_before": facts.not_before,
    }
