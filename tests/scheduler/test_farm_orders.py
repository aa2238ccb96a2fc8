"""What the body of an administrator's request may say."""

from typing import Any

import pytest

from sccachedist.errors import DecodeError
from sccachedist.scheduler.farm_orders import Requested, requested


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"action": "drain", "servers": ["10.0.0.*"], "reason": " a\nb ", "until": 60},
            Requested("drain", ("10.0.0.*",), r"a\nb", 60.0),
        ),
        (
            {"action": "drain", "servers": ["a"], "reason": "", "until": None, "preview": True},
            Requested("drain", ("a",), preview=True),
        ),
        ({"action": "undrain", "servers": ["a", "b"]}, Requested("undrain", ("a", "b"))),
        ({"action": "kill", "job": "3778…412"}, Requested("kill", job="412")),
        ({"action": "kill", "client": "ann", "reason": "loop"}, Requested("kill", client="ann", reason="loop")),
        ({"action": "pause", "reason": "", "preview": True}, Requested("pause", preview=True)),
        ({"action": "pause", "reason": "‮move"}, Requested("pause", reason=r"\u202emove")),
        ({"action": "resume"}, Requested("resume")),
        ({"action": "reload", "preview": True}, Requested("reload", preview=True)),
        (
            {"action": "forget_toolchain", "toolchain": "0c0c0c", "servers": None},
            Requested("forget_toolchain", toolchain="0c0c0c"),
        ),
    ],
)
def test_understood(body: dict[str, Any], expected: Requested) -> None:
    """Each value as it is meant; what is hidden in a text is shown."""
    assert requested(body) == expected


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (None, "expected an object"),
        ([], "expected an object"),
        ({}, "action: expected one of drain, undrain"),
        ({"action": []}, "action: expected one of"),
        ({"action": "explode"}, "action: expected one of"),
        ({"action": "resume", "\x1b[2J": 1}, r"resume has no \\x1b\[2J"),
        ({"action": "drain"}, "drain needs servers"),
        ({"action": "drain", "servers": []}, "servers: expected"),
        ({"action": "drain", "servers": "10.0.0.1"}, "servers: expected"),
        ({"action": "drain", "servers": [1]}, "servers: expected"),
        ({"action": "drain", "servers": ["a" * 101]}, "servers: expected"),
        ({"action": "drain", "servers": ["a"] * 101}, "servers: expected"),
        ({"action": "drain", "servers": ["a"], "until": 0}, "until: expected"),
        ({"action": "drain", "servers": ["a"], "until": True}, "until: expected"),
        ({"action": "drain", "servers": ["a"], "until": float("nan")}, "until: expected"),
        ({"action": "drain", "servers": ["a"], "until": 1e300}, "until: expected"),
        ({"action": "drain", "servers": ["a"], "reason": "x" * 501}, "reason: expected"),
        ({"action": "drain", "servers": ["a"], "reason": 7}, "reason: expected"),
        ({"action": "undrain", "servers": ["a"], "until": 7}, "undrain has no until"),
        ({"action": "kill"}, "kill needs a job or a client"),
        ({"action": "kill", "job": "1", "client": "ann"}, "kill needs a job or a client"),
        ({"action": "kill", "job": "x"}, "job: expected"),
        ({"action": "kill", "job": ""}, "job: expected"),
        ({"action": "kill", "job": 412}, "job: expected"),
        ({"action": "kill", "job": "²"}, "job: expected"),
        ({"action": "kill", "client": " "}, "client: expected"),
        ({"action": "pause"}, "pause needs a reason"),
        ({"action": "pause", "reason": ""}, "pause needs a reason"),
        ({"action": "forget_toolchain", "toolchain": "0c"}, "toolchain: expected"),
        ({"action": "forget_toolchain", "toolchain": 7}, "toolchain: expected"),
        ({"action": "resume", "preview": 1}, "preview: expected"),
    ],
)
def test_not_understood(body: object, why: str) -> None:
    """One line says what was expected."""
    with pytest.raises(DecodeError, match=why) as raised:
        requested(body)
    assert str(raised.value).isprintable()
