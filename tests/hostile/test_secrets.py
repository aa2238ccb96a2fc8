"""Rows 11 to 14, 22, 23 and 27: tokens, keys, and what a compile could learn or reach."""

import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Callable
from http.client import HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet.defer import Deferred

from farmkit.busybox_jobs import shell
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding, replacing
from farmkit.processes import free_port, wait_until
from farmkit.raw_client import OCTETS, RawClient, Reply
from sccachedist.auth.clients import SharedClientToken
from sccachedist.auth.servers import SharedServerToken, SignedServerToken
from sccachedist.auth.token_service import MOST_REMEMBERED, ForwardedClientTokens
from sccachedist.builders.worker_protocol import JobLimits, limits_from
from sccachedist.config import AdminSettings, ServerLimits
from sccachedist.sandbox.docker.commands import run_arguments
from sccachedist.scheduler.roles import Principal, Principals, Role
from sccachedist.scheduler.sessions import Sessions
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.messages import ALLOC_JOB_RESPONSE, TOOLCHAIN, AllocJobSuccess, JobId, Toolchain
from sccachedist.wire.tokens import check_job_token, job_token, server_token
from tests.functional.test_client_auth import jwt_validate
from tests.functional.test_network import setting
from tests.functional.test_tls import AUTHORITY, TlsFarm, trusting, write_certificate
from tests.hostile.attacks import NO_INPUTS, fresh_id, jobs
from tests.hostile.conftest import ENVIRONMENT_SECRET, harmless
from tests.hostile.victim import Victim
from tests.support.identity import IdentityProvider
from tests.support.relay import Relay

KEY = bytes(range(32))
ADDRESS = ServerId.parse("127.0.0.1:10501")
_ALLOC_JOB = "/api/v1/scheduler/alloc_job"


def test_row_11_no_secret_in_any_log_or_answer(victim: Victim, attacker: RawClient) -> None:
    """After all that can go wrong with tokens, the logs at their most talkative hold none, and no answer does."""
    farm, job = victim.farm, attacker.ready(victim.archive, victim.toolchain)
    own = server_token(farm.server_key, farm.server_id)
    body = encode(TOOLCHAIN, Toolchain(fresh_id()))
    said: list[Reply] = []
    for token in (farm.client_token, own, job.auth):
        for near in (token[:-1], token + "x", token.swapcase(), f"{farm.server_id} {token}"):
            said.append(attacker.ask("alloc_job", body, near))
            said.append(attacker.ask("heartbeat_server", b"", near))
            said.append(attacker.ask("job_state/7", b"", near))
            said.append(attacker.ask(f"run_job/{job.job_id}", b"", near, server=job.server_id))
    said.append(attacker.ask("alloc_job", b"\xff" * 50, farm.client_token))
    said.append(attacker.run(job, shell("/bin/busybox env; exit 1"), b"no zlib"))
    job_key = (farm.server_folder / "cache" / "identity" / "job.key").read_bytes()
    secrets = [farm.client_token.encode(), own.encode(), job.auth.encode(), ENVIRONMENT_SECRET.encode()]
    for key in (job_key, farm.server_key):
        secrets += [key, key.hex().encode(), base64.urlsafe_b64encode(key).rstrip(b"="), repr(key)[2:-1].encode()]
    texts = [farm.scheduler.log.read_bytes(), farm.server.log.read_bytes(), *(each.body for each in said)]
    assert all(len(text) > 1000 for text in texts[:2])
    assert not [secret for secret in secrets for text in texts if secret in text]
    assert b"Bearer ey" not in b"".join(texts)


def test_row_11_no_secret_on_a_command_line(victim: Victim) -> None:
    """Nobody else on the machine sees a token or a key by looking at processes."""
    farm = victim.farm
    for daemon in (farm.scheduler, farm.server):
        shown = Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()
        assert farm.client_token.encode() not in shown
        assert server_token(farm.server_key, farm.server_id).encode() not in shown


def test_row_12_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of token is compared by ``hmac.compare_digest``, a wrong one as a right one."""
    compared: list[object] = []
    compare: Callable[[Any, Any], bool] = hmac.compare_digest

    def recorded(given: Any, expected: Any) -> bool:
        compared.append(expected)
        return compare(given, expected)

    monkeypatch.setattr(hmac, "compare_digest", recorded)
    principals = Principals.of(AdminSettings("secret"))
    sessions = Sessions(KEY, "here", principals, Principal(Role.CLIENT, ""))
    (administrator,) = filter(None, [principals.of_token("secret")])
    signature, _, said = sessions.signed(administrator, 1.0).partition(".")
    checks: list[Callable[[str], object]] = [
        lambda token: Deferred.fromCoroutine(
            SharedClientToken("secret").check(token, ip_address("192.0.2.1"))
        ).addErrback(lambda _: None),
        lambda token: SharedServerToken("secret").identify(f"{ADDRESS} {token}"),
        SignedServerToken(KEY).identify,
        lambda token: check_job_token(token, KEY, JobId(7)),
        principals.of_token,
        lambda signature: sessions.principal_of(f"{signature}.{said}", 0.0),
    ]
    right = ("secret", "secret", server_token(KEY, ADDRESS), job_token(KEY, JobId(7)), "secret", signature)
    for check, token in zip(checks, right, strict=True):
        for shown in (token, f"{token[:-2]}AA"):
            before = len(compared)
            try:
                check(shown)
            except Exception:
                assert shown != token
            assert len(compared) > before, (check, shown)


def test_row_12_nearly_right_tokens(victim: Victim, attacker: RawClient) -> None:
    """Nothing but the token is the token."""
    token = victim.farm.client_token
    for near in ("", token[:-1], token + token, token.upper(), f" {token}", f"{token},x", "\xff"):
        assert RawClient(attacker.scheduler, near).ask("alloc_job", b"", near).status == 401
    victim.unharmed()


def _allocates(farm: Farm, token: str) -> int:
    attacker = RawClient(ServerId.parse(f"127.0.0.1:{farm.scheduler_port}"), token)
    return attacker.ask("alloc_job", encode(TOOLCHAIN, Toolchain(fresh_id())), token).status


def test_row_13_keys_of_an_identity_provider(tmp_path: Path) -> None:
    """An outage neither stops the start nor lets anyone in; no token chooses its key; look-ups are few."""
    with IdentityProvider() as provider:
        good = provider.sign()
        public = provider.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        provider.stop()
        no_wait = adding(OUR_SCHEDULER, queue="settle_secs = 0")
        farm = Farm(tmp_path, replacing(no_wait, client_auth=jwt_validate(provider)))
        farm.start_scheduler()
        try:
            assert _allocates(farm, good) == 503
            provider.start()
            wait_until(lambda: _allocates(farm, good) == 200, 20, "the keys are fetched")
            for forged in (
                _signed({"alg": "HS256", "kid": provider.kid}, good, public),
                _signed({"alg": "none", "kid": provider.kid}, good, None),
                _signed({"alg": "HS256", "kid": provider.kid, "jwk": {"kty": "oct", "k": "AAAA"}}, good, bytes(3)),
                provider.sign(exp=1),
                provider.sign(aud="another"),
                provider.sign(iss="https://another/"),
                provider.sign(nbf=2**40),
                good[:-4] + "AAAA",
            ):
                assert _allocates(farm, forged) == 401
            before = provider.asked.count("/keys")
            for number in range(30):
                assert _allocates(farm, provider.sign(kid=f"unknown-{number}")) == 401
            assert provider.asked.count("/keys") - before <= 1
            assert _allocates(farm, good) == 200
        finally:
            farm.stop()


def _signed(header: dict[str, Any], like: str, key: bytes | None) -> str:
    """A token with another's claims under a header of one's own."""
    head = base64.urlsafe_b64encode(json.dumps({"typ": "JWT", **header}).encode()).decode().rstrip("=")
    signed = f"{head}.{like.split('.')[1]}"
    signature = b"" if key is None else hmac.new(key, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


class _Says:
    """A token service."""

    def __init__(self, answer: bool) -> None:
        self.answer, self.asked = answer, 0

    async def user_of(self, token: str) -> str | None:
        self.asked += 1
        return "" if self.answer else None


def test_row_14_what_is_remembered_of_tokens() -> None:
    """Ten thousand tokens, good or wrong, leave a bounded number of digests; a wrong one is never among the good."""
    good, wrong, now = _Says(True), _Says(False), [0.0]
    sender = ip_address("192.0.2.1")
    clients = ForwardedClientTokens(good, 60, 8, lambda: now[0])
    for number in range(10_000):
        Deferred.fromCoroutine(clients.check(f"token-{number}", sender))
    held = repr(vars(clients))
    assert "token-9999" not in held
    assert len(clients._good) == MOST_REMEMBERED
    Deferred.fromCoroutine(clients.check("token-9999", sender))
    assert good.asked == 10_000
    now[0] = 61
    Deferred.fromCoroutine(clients.check("token-9999", sender))
    assert good.asked == 10_001
    refusing = ForwardedClientTokens(wrong, 60, 8, lambda: now[0])
    for number in range(10_000):
        Deferred.fromCoroutine(refusing.check(f"wrong-{number % 5000}", sender)).addErrback(lambda _: None)
    assert (wrong.asked, len(refusing._refused), len(refusing._good)) == (10_000, MOST_REMEMBERED, 0)


def test_row_22_docker_jobs_are_confined() -> None:
    """A container has no network, no capabilities, few processes, no new privileges, and serves one job."""
    arguments = run_arguments("sandbox-of-one-job", "a" * 64, limits_from(ServerLimits(), JobLimits, scratch_bytes=1))
    line = " ".join(arguments)
    for flag in ("--network none", "--cap-drop ALL", "--security-opt no-new-privileges", "--pids-limit ", "--memory "):
        assert flag in line
    assert not [argument for argument in arguments if argument in ("--privileged", "--volume", "-v", "--mount")]
    assert "--name sandbox-of-one-job" in line


def test_row_23_nothing_in_clear(tmp_path: Path) -> None:
    """An attacker who listens before a scheduler with a certificate hears no token, and it answers nobody in clear."""
    write_certificate(tmp_path)
    (tmp_path / "authority.pem").write_bytes(AUTHORITY.pem)
    heard = bytearray()
    relay = Relay(target=free_port(), heard=heard)
    tls = f'certificate = "{tmp_path / "scheduler.pem"}"\nprivate_key = "{tmp_path / "scheduler.key"}"'
    server = setting(OUR_SERVER, "scheduler_url", f"https://127.0.0.1:{relay.port}")
    launches = adding(OUR_SCHEDULER, tls=tls), trusting(server, tmp_path / "authority.pem")
    with relay.running(), TlsFarm(tmp_path, *launches, scheduler_port=relay.target) as farm:
        context = ssl.create_default_context(cadata=AUTHORITY.pem.decode())
        connection = HTTPSConnection("127.0.0.1", relay.port, timeout=20, context=context)
        headers = {"Authorization": f"Bearer {farm.client_token}", **OCTETS}
        connection.request("POST", _ALLOC_JOB, encode(TOOLCHAIN, Toolchain(fresh_id())), headers)
        allocated = decode(ALLOC_JOB_RESPONSE, connection.getresponse().read())
        connection.close()
        assert isinstance(allocated, AllocJobSuccess)
        job = allocated.job_alloc
        assert len(heard) > 2000, "a heartbeat and an allocation"
        for secret in (farm.client_token, server_token(farm.server_key, farm.server_id), job.auth, "Bearer"):
            assert secret.encode() not in heard
        in_clear = RawClient(ServerId.parse(f"127.0.0.1:{relay.port}"), "")
        assert in_clear.ask("status", method="GET").status == 0
    assert b"/api/v1/scheduler/status" in heard, "what is said in clear is heard"


def test_row_27_the_daemons_environment(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """A compile sees its own variables alone; the build server's environment cannot be found from inside."""
    harmless(jobs.environment, attacker, tmp_path)
    look = "/bin/busybox env; /bin/busybox cat /proc/[0-9]*/environ /proc/self/environ /proc/1/cmdline 2>&1; true"
    job = attacker.ready(victim.archive, victim.toolchain)
    found = attacker.run(job, shell(look), NO_INPUTS).body
    assert ENVIRONMENT_SECRET.encode() not in found
    assert b"DAEMON_SECRET" not in found
    victim.unharmed()
