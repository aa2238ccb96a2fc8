"""The exchanges that were recorded from the published programs, as requests to ask ours."""

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from farmkit.memory_http import request

_FILE = Path(__file__).parents[1] / "wire" / "exchanges.json"


@attrs.frozen
class Exchange:
    """One exchange with a published daemon.

    :param headers: what was sent, but for the length; names in lower case.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    response: bytes

    def asked(self, headers: Mapping[str, str] | None = None) -> bytes:
        """The request, with some of its headers exchanged."""
        others = {name.lower(): value for name, value in (headers or {}).items()}
        return request(self.method, self.path, self.body, {**self.headers, **others})


def exchange(number: int) -> Exchange:
    """An exchange by its place in the file; its body has to be whole there."""
    raw = json.loads(_FILE.read_text())[number]
    body = bytes.fromhex(raw["body"])
    assert len(body) == raw["body_len"]
    method, path = raw["head"].split()[:2]
    return Exchange(method, path, _headers(raw), body, raw["status"], bytes.fromhex(raw["response"]))


def _headers(raw: dict[str, Any]) -> dict[str, str]:
    """A head as it was on the wire, or as the recorder notes its own: a dictionary, where there was one."""
    line, *fields = raw["head"].split("\r\n")
    if fields:
        pairs = (field.partition(": ") for field in fields)
        return {name: value for name, _, value in pairs if name != "content-length"}
    _, brace, rest = line.partition("{")
    noted: dict[str, str] = ast.literal_eval(brace + rest.partition("}")[0] + "}") if brace else {}
    return {name.lower(): value for name, value in noted.items()}
