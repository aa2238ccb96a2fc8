"""The doctor, when who answers is not who should, or when what the file says cannot be.

Every check after the one that goes wrong is still made, and no traceback is shown.
"""

import re
import secrets
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.processes import free_port
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.tokens import server_token
from tests.functional.test_doctor import config_of, doctor
from tests.support.liar import Answer, dripping, liar, response, saying, silent
from tests.support.proxy import Proxy

pytestmark = pytest.mark.functional

_FARM = b'{"num_servers": 1}'
_LAST = "public_addr"


@pytest.fixture
def config(farm: Farm, tmp_path: Path) -> Path:
    """A copy of a build server's configuration."""
    copy = tmp_path / "server.conf"
    copy.write_text(config_of(farm, "server").read_text())
    copy.chmod(0o600)
    return copy


def change(config: Path, name: str, value: str) -> None:
    """Give a key another value."""
    config.write_text(re.sub(rf"(?m)^{name} = .*", lambda _: f'{name} = "{value}"', config.read_text()))


LIES: dict[str, tuple[Answer, str]] = {
    "nothing": (lambda _: None, "cannot be reached"),
    "garbage": (saying(b"\0\1\2garbage\n"), "does not speak HTTP"),
    "another protocol": (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not speak HTTP"),
    "broken chunks": (response(b"zz\r\n", b"Transfer-Encoding: chunked"), "does not speak HTTP"),
    "a long head": (response(b"", b"X: " + b"x" * 100_000), "does not speak HTTP"),
    "silence": (silent, "no answer within 10 s"),
    "a byte a second": (dripping, "no whole answer within 10 s"),
    "a redirect": (response(b"", b"Location: http://127.0.0.1:1/", status=b"302 Found"), "with status 302"),
    "HTML": (response(b"<html>"), "no scheduler answers there"),
    "a list": (response(b"[]"), "no scheduler answers there"),
    "depth": (response(b"[" * 200_000), "no scheduler answers there"),
    "less than it says": (response(_FARM[:5], b"Content-Length: 18"), "no scheduler answers there"),
}


@pytest.mark.parametrize(("lie", "said"), LIES.values(), ids=LIES)
def test_who_is_no_scheduler(config: Path, lie: Answer, said: str) -> None:
    """What answers at scheduler_url may say anything, or nothing."""
    with liar(lie) as port:
        change(config, "scheduler_url", f"http://127.0.0.1:{port}")
        status, lines = doctor(config)
    assert (status, lines[_LAST].split()[0]) == (1, "ok"), lines
    assert lines["scheduler"].startswith("FAILED ")
    assert said in lines["scheduler"]


@pytest.mark.parametrize(
    "date",
    [
        "",
        "today",
        "Sat, 28 Nov 2026 19:10:07 -0000",
        "Sat, 28 Nov 2026 19:10:07",
        f"Sat, 28 Nov {'9' * 20} 0:0 +{'9' * 20}",
    ],
    ids=["none", "a word", "unknown zone", "no zone", "large"],
)
def test_the_time_of_who_answers(config: Path, date: str) -> None:
    """It is compared if it is one."""
    with liar(response(_FARM, b"Date: " + date.encode())) as port:
        change(config, "scheduler_url", f"http://127.0.0.1:{port}")
        _, lines = doctor(config)
    assert lines["scheduler"].startswith("ok ")
    assert lines.get("clocks", "").partition(" ")[0] in ("", "ok", "warning", "FAILED")
    assert ("clocks" in lines) is ("2026" in date)
    assert lines[_LAST].startswith("ok ")


@pytest.mark.parametrize("host", ["b\u00fccher..invalid", f"{'x' * 70}.invalid", "nobody.invalid"])
def test_a_host_that_is_none(config: Path, host: str) -> None:
    """Nor need it be a name at all."""
    change(config, "scheduler_url", f"http://{host}")
    status, lines = doctor(config)
    assert (status, lines[_LAST].split()[0]) == (1, "ok"), lines
    assert "cannot be reached" in lines["scheduler"]


@pytest.mark.parametrize(
    "token", ["a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJub25lIn0.W10.x", "\u00e4", "x" * 5000]
)
def test_a_token_that_is_malformed(config: Path, token: str) -> None:
    """The file is at fault; the scheduler is asked all the same."""
    change(config, "token", token)
    status, lines = doctor(config)
    assert (status, lines["scheduler"].split()[0], lines[_LAST].split()[0]) == (1, "ok", "ok"), lines
    assert lines["token"].startswith("FAILED scheduler_auth.token: expected what auth generate-jwt-hs256-server-token")
    assert token not in lines["token"]


def test_a_token_of_another_build_server_or_scheduler(config: Path, farm: Farm) -> None:
    """The two are told apart: one is wrong in itself, the other for who is asked."""
    other = ServerId.parse("192.0.2.1:10501")
    change(config, "token", server_token(farm.server_key, other))
    assert "it was made for 192.0.2.1:10501" in doctor(config)[1]["token"]
    change(config, "token", server_token(secrets.token_bytes(32), farm.server_id))
    assert doctor(config)[1]["token"].startswith("FAILED the scheduler refuses it")


def test_the_address_that_calls_leave_from(config: Path, farm: Farm) -> None:
    """It is public_addr's, unless the kernel chooses: another one that nothing in between changes is named."""
    other = ServerId.parse(f"127.0.0.9:{free_port()}")
    change(config, "public_addr", str(other))
    change(config, "token", server_token(farm.server_key, other))
    assert doctor(config)[1]["sender"] == "ok calls to the scheduler leave from public_addr's address, 127.0.0.9"
    with config.open("a") as more:
        more.write('\n[network]\nsource_address = "0.0.0.0"\n')
    status, lines = doctor(config)
    assert status == 1
    assert lines["sender"].startswith(
        "FAILED calls to the scheduler leave from 127.0.0.1, and public_addr is at 127.0.0.9"
    )


def test_a_scheduler_with_the_certificate_of_another(config: Path, farm: Farm, tmp_path: Path) -> None:
    """It is not trusted; with its authority it is."""
    (tmp_path / "proxy").mkdir()
    proxy = Proxy(tmp_path / "proxy", farm.scheduler_port)
    with proxy.running():
        change(config, "scheduler_url", proxy.url("localhost"))
        status, lines = doctor(config)
        assert (status, lines[_LAST].split()[0]) == (1, "ok"), lines
        assert "its certificate is not trusted here" in lines["scheduler"]
        assert doctor(config, options=("--wait", "0"), **proxy.trust)[1]["scheduler"].startswith("ok ")
