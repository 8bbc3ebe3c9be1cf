"""What pilots and conductors say of themselves: values, their words, and how they are kept."""

from __future__ import annotations

import json

import pytest

from orchestra.domain import troubles
from orchestra.domain.troubles import Kind, Stuck, Trouble

IMAGE = "docker://registry.example.org/lab/tool:1"
WORDS = {
    "task 3 cannot run here: no podman": troubles.cannot_run(3, "no podman"),
    "task 3 cannot start: /v does not answer": troubles.cannot_start(3, "/v does not answer"),
    f"preparing the image {IMAGE}: 3 of 8 MB": troubles.preparing(IMAGE, "3 of 8 MB"),
    "task 3 is waiting for the checksum of /d/c, whose time has changed": troubles.checksum(3, "/d/c"),
    "takes no jobs: not enough space in /x (no space left)": troubles.no_room("/x", "no space left"),
    "its keeper (pid 7) does not answer; is it stopped?": troubles.keeper_silent(7),
    "outcomes of task 3 are waiting: a row is locked.": troubles.reports_wait(3, "a row is locked."),
    "an outcome could not be reported: see /x/1": troubles.set_aside("/x/1"),
    "runs 2 jobs that the database, which was replaced by an older one, does not know: 3/0 and 3/1":
        troubles.unknown_attempts(["3/0", "3/1"]),
    "GPU 1 is used by process 7 (a), so no job starts on it":
        troubles.gpu_used("GPU 1", "process 7 (a)"),
    "its conductor failed and is restarting: odd": troubles.conductor_failed("odd", again=True),
}  # fmt: skip


@pytest.mark.parametrize("words", WORDS)
def test_a_trouble_has_its_words_and_is_kept_as_it_is(words: str) -> None:
    trouble = WORDS[words]
    assert trouble.text == words
    kept = json.loads(json.dumps(troubles.to_record(trouble)))
    assert troubles.of_record(kept) == trouble


def test_a_trouble_of_a_newer_version_is_its_text() -> None:
    record = {"kind": "weather", "text": "it rains", "task": 3, "cloud": "grey"}
    assert troubles.of_record(record) == Trouble(Kind.OTHER, "it rains", task=3)


def test_a_pilot_of_an_older_version_has_one_trouble_whatever_its_text() -> None:
    text = "preparing the image a.sif: begins; task 3 cannot run here: odd"
    (only,) = troubles.of_pilot(None, text)
    assert only == Trouble(Kind.OTHER, text)
    assert troubles.message([only]) == text
    assert troubles.of_image([only], 3, "a.sif") is None
    assert troubles.of_pilot(None, None) == ()
    assert troubles.of_pilot([], "of an earlier agent") == ()


def test_the_trouble_of_a_task_or_its_image_is_found() -> None:
    """Not by how a text begins: other words may stand in it, of people and of programs."""
    quoting = troubles.no_claims(f"odd; task 3 cannot run here: x; preparing the image {IMAGE}: x")
    other = troubles.cannot_run(33, "odd")
    longer = troubles.preparing(f"{IMAGE}: 2", "begins")
    told = (quoting, other, longer, troubles.cannot_start(3, "later"))
    assert troubles.of_image(told, 3, IMAGE) is None
    image, task = troubles.preparing(IMAGE, "begins"), troubles.cannot_run(3, "a; b")
    assert troubles.of_image((*told, image, task), 3, IMAGE) == image
    assert troubles.of_image((*told, image, task), 3, None) == task


def test_a_message_joins_all_troubles() -> None:
    assert troubles.message([]) is None
    assert troubles.message([troubles.no_claims("a"), troubles.database("b")]) == "a; b"


def test_a_pilot_names_some_of_what_its_conductor_cannot_go_on_with() -> None:
    assert troubles.conductor_stuck([]) is None
    stuck = [Stuck(3, "it is busy"), Stuck("mail", "no"), Stuck(4, "c"), Stuck(5, "d")]
    two, all_ = troubles.conductor_stuck(stuck[:2]), troubles.conductor_stuck(stuck)
    assert two
    assert all_
    assert two.text == "its conductor cannot continue with task 3: it is busy; mail: no"
    assert all_.text.endswith("; mail: no; task 4: c; and with 1 more")
