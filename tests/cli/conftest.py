"""What tests of commands share."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.answering_scheduler import AnsweringScheduler


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AnsweringScheduler]:
    """One with its configuration."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answering.asked.append((self.path, json.loads(body) if body else None))
            status, answer = answering.answers.pop(0) if len(answering.answers) > 1 else answering.answers[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            """It writes nothing to the terminal."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        address = f"127.0.0.1:{server.server_port}"
        config, insecure = tmp_path / "scheduler.conf", '{ type = "DANGEROUSLY_INSECURE" }'
        config.write_text(
            f'public_addr = "{address}"\nclient_auth = {insecure}\nserver_auth = {insecure}\n'
            '[admin]\ntoken = "hunter2"\n'
        )
        answering = AnsweringScheduler(f"http://{address}", config)
        for name in ("SCCACHEDIST_SCHEDULER", "SCCACHEDIST_TOKEN_FILE"):
            monkeypatch.delenv(name, raising=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield answering
        server.shutdown()
        thread.join()
