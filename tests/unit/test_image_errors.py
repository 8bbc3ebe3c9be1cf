"""Why an image could not be fetched: our sentence, then the runtime's message."""

from __future__ import annotations

import pytest

from orchestra.domain.image_errors import describe_failure, registry_of

HERE = "docker://reg.example.org:5000/ana/x:1"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (HERE, "reg.example.org:5000"),
        ("docker://ana/x:1", "docker.io"),
        ("docker://busybox", "docker.io"),
        ("docker://localhost/x", "localhost"),
        ("oras://reg.example.org/x:1", "reg.example.org"),
        ("https://example.org/a.sif", "example.org"),
        ("library://ana/x/y", None),
        ("docker-archive:/a.tar", None),
    ],
)
def test_the_registry_of_an_image(address: str, host: str | None) -> None:
    assert registry_of(address) == host


@pytest.mark.parametrize(
    ("words", "what", "advice"),
    [
        (
            "pinging container registry reg.example.org:5000: dial tcp 10.0.0.1:5000: connect: connection refused",
            "its registry reg.example.org:5000 cannot be reached from this node",
            "curl -I https://reg.example.org:5000/v2/",
        ),
        ("lookup reg.example.org: no such host", "cannot be reached", "curl"),
        ("net/http: TLS handshake timeout", "cannot be reached", "curl"),
        (
            "http: server gave HTTP response to HTTPS client",
            "does not use TLS",
            "docs/containers.md",
        ),
        (
            "reading manifest 1 in reg.example.org/ana/x: manifest unknown",
            "does not have it",
            "tag",
        ),
        ("unauthorized: authentication required", "refuses it to this node", "log in to"),
        ("write /var/tmp/x: no space left on device", "disk is full", "image_cache"),
    ],
)
def test_our_sentence_comes_before_the_runtimes(words: str, what: str, advice: str) -> None:
    trouble = describe_failure(HERE, words, runtime="apptainer")
    beginning = f"the image {HERE} cannot be fetched: "
    assert trouble.sentence.startswith(beginning)
    ours, _, theirs = trouble.sentence.removeprefix(beginning).partition(" apptainer says: ")
    assert what in ours
    assert theirs == f"{words}."
    assert advice in str(trouble.advice)


def test_an_unknown_message_is_passed_on() -> None:
    trouble = describe_failure("docker-archive:/a.tar", "gremlins", runtime="podman")
    said = "the image docker-archive:/a.tar cannot be fetched. podman says: gremlins."
    assert (trouble.sentence, trouble.advice) == (said, None)


def test_silence_is_reported_with_advice() -> None:
    trouble = describe_failure(HERE, None, runtime="podman", silence=300)
    assert "nothing arrived from reg.example.org:5000 for 5 min" in trouble.sentence
    assert "image_fetch_timeout" in str(trouble.advice)
