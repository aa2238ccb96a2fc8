"""What a browser's session holds, and which sessions are none."""

import attrs
import pytest

from sccachedist.auth.clients import digest_of
from sccachedist.config import AdminSettings, InsecureAuth, JwtHs256, PersonSettings, SchedulerSettings, TokenAuth
from sccachedist.scheduler.roles import Principal, Principals, Role
from sccachedist.scheduler.sessions import MOST_CHARACTERS, SESSION_SECS, Sessions
from sccachedist.wire.addresses import ServerId

PEOPLE = {"ann": PersonSettings(digest_of("ann's")), "a.b@example.org": PersonSettings(digest_of("ab's"))}
SETTINGS = SchedulerSettings(
    public_addr=ServerId.parse("127.0.0.1:10600"),
    client_auth=TokenAuth("client's"),
    server_auth=TokenAuth("server's"),
    admin=AdminSettings("admin's", {**PEOPLE, "bob": PersonSettings()}),
)
NOW = 1_000_000.0


def sessions(settings: SchedulerSettings = SETTINGS, client: str = "client's") -> Sessions:
    return Sessions.of(settings, Principals.of(settings.admin, settings.web), digest_of(client))


def principals() -> list[Principal]:
    """All who can sign in."""
    found = [Principals.of(SETTINGS.admin).of_token(token) for token in ("admin's", "ann's", "ab's")]
    return [sessions().of_client(""), *(principal for principal in found if principal)]


ALL = principals()
ANN = ALL[2]
SESSION = sessions().signed(ANN, NOW + SESSION_SECS)


@pytest.mark.parametrize("principal", ALL, ids=lambda principal: principal.name or "client")
def test_sessions(principal: Principal) -> None:
    """Each is of one, until it ends, also after a restart, and tells no secret."""
    session = sessions().signed(principal, NOW + 60.4)
    assert sessions().principal_of(session, NOW) == principal
    assert sessions().principal_of(session, NOW + 59.0) == principal
    assert sessions().principal_of(session, NOW + 60.0) is None
    assert len(session) <= MOST_CHARACTERS
    assert session.isprintable()
    assert not set(session) & set(' ",;\\')
    assert principal.digest not in session


def test_signed_when_the_clock_was_wrong() -> None:
    """A scheduler that began years ahead, and was started again since, has no sessions that last for years."""
    years = 2 * 365 * 86_400.0
    session = sessions().signed(ANN, NOW + years + SESSION_SECS)
    assert sessions().principal_of(session, NOW + years) == ANN
    assert sessions().principal_of(session, NOW) is None


def test_several_schedulers() -> None:
    """A session is none at another scheduler, unless both say that they are one of several."""
    other = attrs.evolve(SETTINGS, public_addr=ServerId.parse("127.0.0.2:10600"))
    assert sessions(other).principal_of(SESSION, NOW) is None
    both = [Sessions.of(each, Principals(), digest_of("client's"), place="several") for each in (SETTINGS, other)]
    client = both[0].of_client("")
    assert both[1].principal_of(both[0].signed(client, NOW + 60), NOW) == client


def test_a_client_with_a_name() -> None:
    """It has its name again, as long as the clients' file has it; another name makes it no session."""
    names = {"ann.b-7"}
    known = Sessions.of(SETTINGS, Principals(), digest_of("client's"), names.__contains__)
    ann = known.of_client("ann.b-7")
    session = known.signed(ann, NOW + 60)
    assert known.principal_of(session, NOW) == ann == Principal(Role.CLIENT, "ann.b-7", digest_of("client's"))
    assert sessions().principal_of(session, NOW) is None
    names.add("bob.b-7")
    assert known.principal_of(session.replace("ann", "bob"), NOW) is None
    names.clear()
    assert known.principal_of(session, NOW) is None


def test_renewed() -> None:
    """With other secrets, sessions of before end, and new ones are good."""
    renewed = sessions()
    before = renewed.signed(renewed.of_client(""), NOW + 1)
    for settings, client in (
        (SETTINGS, "another"),
        (attrs.evolve(SETTINGS, server_auth=TokenAuth("another")), "another"),
    ):
        renewed.renew(settings, digest_of(client))
        assert renewed.principal_of(before, NOW) is None
        assert sessions(settings, client).principal_of(renewed.signed(renewed.of_client(""), NOW + 1), NOW) is not None


@pytest.mark.parametrize("server_auth", [InsecureAuth(), TokenAuth("another"), JwtHs256(bytes(32))])
def test_another_scheduler(server_auth: InsecureAuth | TokenAuth | JwtHs256) -> None:
    """One of a scheduler is none at another, though the same person has the same token there."""
    for other in (
        attrs.evolve(SETTINGS, server_auth=server_auth),
        attrs.evolve(SETTINGS, public_addr=ServerId.parse("127.0.0.1:10601")),
    ):
        assert sessions(other).principal_of(SESSION, NOW) is None
        assert sessions(other).principal_of(sessions(other).signed(ANN, NOW + 1), NOW) == ANN


def test_rotation() -> None:
    """When the secret is another, or the person is gone, so are the sessions; those of others stay."""
    people = {**PEOPLE, "ann": PersonSettings(digest_of("ann's new one"))}
    for admin in (
        AdminSettings("admin's", people),
        AdminSettings("admin's", {"ann": PersonSettings()}),
        AdminSettings(),
    ):
        assert sessions(attrs.evolve(SETTINGS, admin=admin)).principal_of(SESSION, NOW) is None
    others = sessions().signed(ALL[1], NOW + 1)
    assert sessions(attrs.evolve(SETTINGS, admin=AdminSettings("admin's", people))).principal_of(others, NOW) == ALL[1]
    assert sessions(client="another").principal_of(sessions().signed(ALL[0], NOW + 1), NOW) is None


def test_without_a_secret() -> None:
    """One who has none cannot have a session, even with all else."""
    for nobody in (Principal(Role.ADMINISTRATOR, "bob"), Principal(Role.VIEWER, "viewer"), Principal(Role.ANYONE, "")):
        assert sessions().principal_of(sessions().signed(nobody, NOW + 1), NOW) is None


def test_truncated_and_changed() -> None:
    """Every other text is none."""
    assert sessions().principal_of(SESSION, NOW) == ANN
    for place in range(len(SESSION)):
        assert sessions().principal_of(SESSION[:place], NOW) is None
        changed = SESSION[:place] + ("0" if SESSION[place] != "0" else "1") + SESSION[place + 1 :]
        assert sessions().principal_of(changed, NOW) is None
    signature, _, said = SESSION.partition(".")
    for forged in (
        *("", ".", "...", "x" * 10_000, f".{said}", f"{signature}.", f"{SESSION}.", f"{SESSION}x", f" {SESSION}"),
        *(f"{signature}.{role}.{NOW + 9:.0f}.{name}" for role in ("0", "1", "3", "4", "-1") for name in ("", "ann")),
        f"{signature}.3.{'9' * 5000}.ann",
        f"{signature}.3.٣.ann",
        f"{signature}.3.-1.ann",
        f"{signature}.3.1e9.ann",
        "é" * 64 + f".{said}",
        "".join(reversed(SESSION)),
    ):
        assert sessions().principal_of(forged, NOW) is None
