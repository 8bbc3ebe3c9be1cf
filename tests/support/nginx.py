"""A real nginx with TLS before a server, with the block of docs/server.md."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from support.server import free_port
from support.waiting import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "server.md"
_AROUND = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""


def program() -> str | None:
    """Return the path of nginx: that of tools/install-nginx, or an installed one."""
    return shutil.which("/opt/nginx/usr/sbin/nginx") or shutil.which("nginx")


@contextmanager
def nginx(folder: Path, server_port: int) -> Iterator[tuple[str, Path]]:
    """Run nginx before a server, and yield its address and the file with the certificate of who has signed its own."""
    folder.mkdir()
    folder.chmod(0o711)  # its workers are another account
    ca, port = trustme.CA(), free_port()
    made = ca.issue_cert("localhost")
    made.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    [block] = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/orchestra.pem", f"{folder}/both.pem"),
        ("/etc/ssl/orchestra.key", f"{folder}/both.pem"),
        ("127.0.0.1:8765", f"127.0.0.1:{server_port}"),
    ):
        assert old in block
        block = block.replace(old, new)
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, server=block))
    found = program()
    assert found
    process = subprocess.Popen(
        [found, "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"],
        stdin=subprocess.DEVNULL,
    )
    try:
        log = folder / "error.log"
        wait_until(lambda: (folder / "pid").exists() or process.poll(), describe=log.read_text)
        assert process.poll() is None, log.read_text()
        yield f"https://localhost:{port}/orchestra", folder / "ca.pem"
    finally:
        process.terminate()
        process.wait(timeout=10)
