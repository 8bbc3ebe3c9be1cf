"""Where a server may listen, and what it notes of requests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from orchestra.api.access import line
from orchestra.api.metrics import render
from orchestra.api.request_figures import RequestFigures
from orchestra.domain.errors import BadInput, Refused
from orchestra.domain.models.figures import EndFigures, Figures, QueueFigures
from orchestra.domain.states import Queue
from orchestra.wiring.server_front import Front

NOW = datetime(2026, 11, 26, 10, 2, 11, tzinfo=UTC)


def test_tokens_do_not_cross_a_network_in_clear(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = trustme.CA().issue_cert("orchestra.example.org")
    cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    for host in ("127.0.0.1", "::1", "localhost", "127.0.0.2"):
        Front().check(host)
    for host in ("0.0.0.0", "::", "10.0.0.1", "gauss"):
        with pytest.raises(Refused, match="unencrypted") as caught:
            Front().check(host)
        assert "--behind" in str(caught.value.hint)
        Front(tls_cert=str(cert), tls_key=str(key)).check(host)
        Front(behind="10.0.0.7").check(host)
        Front(behind="10.0.0.0/24", root_path="/lab/orchestra").check(host)
    assert Front(tls_cert=str(cert), tls_key=str(key)).scheme == "https"


@pytest.mark.parametrize(
    ("front", "said"),
    [
        (Front(tls_cert="c.pem"), "belong together"),
        (Front(tls_key="k.pem"), "belong together"),
        (Front(tls_cert="/nowhere/c", tls_key="/nowhere/k"), "No such file"),
        (Front(tls_cert="/etc/passwd", tls_key="/etc/passwd"), "not a certificate"),
        (Front(behind="proxy"), "not the address of a proxy"),
        (Front(behind="*"), "not the address of a proxy"),
        (Front(root_path="lab"), "no prefix"),
        (Front(root_path="/a b"), "no prefix"),
        (Front(root_path="//evil"), "no prefix"),
    ],
)
def test_wrong_options_are_named(front: Front, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        front.check("127.0.0.1")


def test_without_behind_nobody_is_believed() -> None:
    assert Front().options()["proxy_headers"] is False
    assert Front(behind="10.0.0.7").options()["forwarded_allow_ips"] == ["10.0.0.7"]


def test_the_access_log_has_no_secret_and_one_line_a_request() -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/tasks/a b\n2026 forged/orc_0123456789abcdef/é",
        "query_string": b"token=orc_0123456789abcdef",
        "headers": [(b"authorization", b"Bearer orc_0123456789abcdef")],
        "client": ("10.0.0.7", 5),
        "state": {},
    }
    said = line(scope, 404, 0.0123, NOW)
    assert said == (
        "2026-11-26T10:02:11Z 10.0.0.7 - GET /tasks/a%20b%0A2026%20forged/orc_0123.../%C3%A9 404 12ms"
    )


def test_figures_are_in_prometheus_format() -> None:
    requests = RequestFigures()
    for status, seconds in ((200, 0.004), (200, 0.3), (404, 60.0)):
        requests.note(status, seconds)
    cpu = QueueFigures(tasks=2, jobs={"running": 3, "failed": 1}, slots=4, slots_in_use=3)
    figures = Figures(
        queues={Queue.CPU: cpu},
        ends={"exit": EndFigures(attempts=3, started=2, waited=0.5), 'odd"\n': EndFigures(1, 0, 0)},
        nodes=3, nodes_online=2, claims=12_345_678, mails=0, conductor_term=7, conductor_alive=True,
    )  # fmt: skip
    lines = render(figures, requests, streams=5, version="1.0").splitlines()
    for expected in (
        'orchestra_jobs{queue="cpu",state="running"} 3',
        'orchestra_slots_in_use{queue="cpu"} 3',
        'orchestra_nodes{online="false"} 1',
        'orchestra_attempts_ended_lately{cause="exit"} 3',
        'orchestra_attempts_ended_lately{cause="odd\\"\\n"} 1',
        "orchestra_start_delay_seconds 0.25",
        "orchestra_claims_total 12345678",
        "orchestra_conductor_term 7",
        "orchestra_conductor_alive 1",
        "orchestra_server_streams 5",
        'orchestra_server_answers_total{status="2xx"} 2',
        'orchestra_server_answer_seconds_bucket{le="0.005"} 1',
        'orchestra_server_answer_seconds_bucket{le="0.5"} 2',
        'orchestra_server_answer_seconds_bucket{le="+Inf"} 3',
        "orchestra_server_answer_seconds_count 3",
    ):
        assert expected in lines
    typed = [each.split()[2] for each in lines if each.startswith("# TYPE")]
    assert len(set(typed)) == len(typed)
