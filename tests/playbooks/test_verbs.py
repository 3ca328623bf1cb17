"""What a profile can say of a bot's API: a prefix, a body, an answer without one, and words that are true or false."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType, SimpleNamespace

import pytest

from ops.hosts.reply import spelled
from tests.playbooks.bench import PROGRAM


class Api(BaseHTTPRequestHandler):
    """Answers with the status that the path ends with, and keeps what it was asked."""

    asked: tuple[str, str, str] = ("", "", "")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        Api.asked = (self.path, body, self.headers.get("Content-Type", ""))
        self.send_response(int(self.path.split("?")[0][-3:]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("interlock_host", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("verb", "path", "body", "ok"),
    [
        ("POST /halt/200?why={reason}", "/v1/halt/200?why=say%20%22no%22", "", True),
        ("POST /halt/204", "/v1/halt/204", "", True),
        ('POST /halt/202 {"why": "{reason}", "by": {"who": "x y"}}', "/v1/halt/202",
         {"why": 'say "no"', "by": {"who": "x y"}}, True),
        ("POST /halt/409", "/v1/halt/409", "", False),
    ],
)  # fmt: skip
def test_a_verb_is_a_path_behind_the_prefix_and_may_carry_a_body(program, url, verb, path, body, ok) -> None:
    done = program.tell(SimpleNamespace(api={"url": url, "trip": verb}), "trip", 'say "no"')
    asked, sent, kind = Api.asked
    assert (asked, json.loads(sent or '""'), bool(kind), done["ok"]) == (path, body, bool(body), ok)


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), ("ON", "ON"), (1, "1"), (None, "None")])
def test_both_sides_spell_what_a_bot_shows_alike(program, value: object, text: str) -> None:
    assert program.spelled(value) == spelled(value) == text
