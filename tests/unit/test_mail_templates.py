"""The pages of notifications: text and HTML have the same content, and external text is escaped."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape

import pytest

from orchestra.domain import notifications
from orchestra.domain.notifications import (
    HELD,
    AffectedTask,
    BestResults,
    BestRow,
    Failure,
    Notification,
    OfflineNotification,
    PilotNotification,
    TaskNotification,
    UndeliveredNotification,
)
from orchestra.mail import page, templates

FAILURES = (
    Failure(
        "exit status 3",
        1,
        "0/17",
        "h16_lr-1.json",
        "gauss",
        tail=("Traceback:", "ValueError: learning rate must be positive"),
    ),
    Failure("killed by signal 9 (SIGKILL)", 1, "0/22", "h16.json", "gauss", "not by Orchestra"),
)
FINALIZED = TaskNotification(
    task=0,
    name="user.ana.mlp",
    outcome="FINALIZED",
    jobs=36,
    folder="/data/ana/user.ana.mlp",
    by="orchestra",
    counts={"done": 34, "failed": 2},
    seconds=760.0,
    failures=FAILURES,
    kinds=2,
)
OFFLINE = OfflineNotification(
    "caloba22", 610.0, (AffectedTask(1, "user.bob.scan", 2),), "22 Nov 10:34 UTC"
)
SILENT = PilotNotification("caloba22", "The pilot of node caloba22 is silent", 2, silent=True)
TROUBLE = UndeliveredNotification(
    7, "bob@example.org", "user.bob.scan done", "mx:25 said: 550 no such user"
)
ALL: tuple[Notification, ...] = (FINALIZED, OFFLINE, SILENT, TROUBLE)


@pytest.mark.parametrize("notification", ALL, ids=lambda notification: notification.KIND)
def test_notification_survives_the_outbox(notification: Notification) -> None:
    payload = json.loads(json.dumps(notifications.to_payload(notification)))
    assert notifications.from_payload(notification.KIND, payload) == notification
    assert (
        notifications.from_payload(notification.KIND, {**payload, "added": "later"}) == notification
    )


def test_the_mail_of_the_design() -> None:
    found = templates.page(FINALIZED)
    assert found.subject == "user.ana.mlp finalized: 34 done, 2 failed"
    assert page.as_text([found]) == (
        "Your task user.ana.mlp (task 0) has finished: 34 of 36 jobs are done, 2\n"
        "failed. It took 12 min 40 s.\n"
        "\n"
        "  1 job: exit status 3\n"
        "     job 0/17, node gauss, config h16_lr-1.json\n"
        "     | Traceback:\n"
        "     | ValueError: learning rate must be positive\n"
        "  1 job: killed by signal 9 (SIGKILL)\n"
        "     job 0/22, node gauss, config h16.json\n"
        "     | (not by Orchestra)\n"
        "\n"
        "Results: /data/ana/user.ana.mlp\n"
        "Read a log: maestro job logs 0/17\n"
        "Rerun the 2 not done: maestro task retry 0\n"
    )


def test_page_contains_the_best_results() -> None:
    best = BestResults(
        ("accuracy", "hidden"), (BestRow("0/3", ("0.97", "64")), BestRow("0/11", ("0.9", "8")))
    )
    text = page.as_text([templates.page(FINALIZED, best)])
    assert "Best by accuracy:\n  job   accuracy  hidden\n  0/3   0.97      64\n" in text


@pytest.mark.parametrize(
    ("notification", "subject", "says"),
    [
        (
            replace(FINALIZED, outcome="DONE", counts={"done": 36}, failures=(), kinds=0),
            "user.ana.mlp done: all 36 jobs",
            ["is done: all 36 jobs are done", "maestro task show 0"],
        ),
        (
            replace(FINALIZED, outcome="DONE", jobs=1, counts={"done": 1}, failures=(), kinds=0),
            "user.ana.mlp done: its only job",
            ["its only job is done"],
        ),
        (
            replace(
                FINALIZED, outcome="BROKEN", counts={"broken": 36}, why="1 of 10 test jobs failed"
            ),
            "user.ana.mlp broken: 36 broken",
            ["broke in its test: 1 of 10 test jobs failed. No", "maestro task retry 0"],
        ),
        (
            replace(FINALIZED, outcome="KILLED", counts={"killed": 36}, by="bob", why="wrong data"),
            "user.ana.mlp killed: 36 killed",
            ["was killed by bob: wrong data.", "maestro task retry 0"],
        ),
        (
            replace(FINALIZED, outcome=HELD, seconds=None, why="/data/x.json has changed"),
            "user.ana.mlp held: /data/x.json has changed",
            ["is held: /data/x.json has changed.", "maestro task release 0"],
        ),
        (
            replace(FINALIZED, kinds=4),
            "user.ana.mlp finalized: 34 done, 2 failed",
            ["2 further kinds of failures: maestro task show 0"],
        ),
        (
            OFFLINE,
            "node caloba22 is offline: 2 of your jobs are affected",
            ["22 Nov 10:34 UTC", "maestro node lost -n caloba22", "1     user.bob.scan  2"],
        ),
        (
            replace(OFFLINE, until=None),
            "node caloba22 is offline: 2 of your jobs are affected",
            ["They wait for it, without a time limit"],
        ),
        (SILENT, "the pilot of node caloba22 is silent", ["notified again only after"]),
        (
            replace(SILENT, silent=False, jobs=1),
            "the pilot of node caloba22 died",
            ["1 job ended with it"],
        ),
        (
            TROUBLE,
            "mail to bob@example.org could not be sent",
            ["550 no such user", "maestro mail retry 7"],
        ),
    ],
)
def test_each_page_says_what_happened_and_what_to_type(
    notification: Notification, subject: str, says: list[str]
) -> None:
    found = templates.page(notification)
    assert found.subject == templates.subject(notification) == subject
    text = page.as_text([found])
    flat = " ".join(text.split())
    for words_expected in says:
        assert " ".join(words_expected.split()) in flat


@pytest.mark.parametrize("notification", ALL, ids=lambda notification: notification.KIND)
def test_html_has_the_same_content_as_the_text(notification: Notification) -> None:
    found = templates.page(notification)
    html = re.sub(r"<title>.*?</title>", "", page.as_html([found]))
    plain = unescape(re.sub(r"<[^>]+>", " ", html))
    told = set(re.findall(r"[\w./@-]+", page.as_text([found])))
    assert told <= set(re.findall(r"[\w./@-]+", plain))


def test_digest_lists_its_pages() -> None:
    pages = [templates.page(notification) for notification in ALL]
    text = page.as_text(pages)
    assert text.startswith("4 notifications:\n\n  user.ana.mlp finalized: 34 done, 2 failed\n")
    assert page.as_html(pages).count("<h2") == 4


def test_external_text_is_escaped() -> None:
    nasty = "<script>alert('x')</script>\n\x1b[2J\nBcc: all@example.org"
    failure = replace(
        FAILURES[0], config=nasty, reason=nasty, tail=(nasty,), node=nasty, what=nasty
    )
    notification = replace(FINALIZED, name=nasty, why=nasty, folder=nasty, failures=(failure,))
    best = BestResults((nasty,), (BestRow("0/1", (nasty,)),))
    for outcome in ("DONE", "FINALIZED", "BROKEN", "KILLED", HELD):
        found = templates.page(replace(notification, outcome=outcome), best)
        assert "\n" not in found.subject
        assert "<script>" not in page.as_html([found])
        text = page.as_text([found])
        assert "\x1b" not in text
        assert not re.search(r"^Bcc:", text, re.MULTILINE)


def test_no_control_character_reaches_a_mail() -> None:
    nasty = "a\x1b]0;title\x07\x9b31m\x7f\u202e\r\nBcc: all@example.org"
    blocks = (
        page.Paragraph(nasty),
        page.Finding(nasty, nasty, (nasty,)),
        page.Table(nasty, (nasty,), ((nasty,),)),
        page.Location(nasty, nasty),
        page.Command(nasty, nasty),
    )
    pages = [page.Page(nasty, blocks)]
    for text in (page.as_text(pages), page.as_html(pages), page.as_text(pages * 2)):
        assert text.replace("\n", "").isprintable()
        assert not re.search(r"^Bcc:", text, re.MULTILINE)
