"""The tables of the configuration that the published programs have too: who may connect, and how compiles run.

Their keys and defaults follow ``sccache-dist`` 0.16.0; the builder of a gateway is our own. This module does not
know how a role uses a setting.
"""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TypeAlias

from attrs import field, frozen

from sccachedist.config.schema import Choice, Effect, ListOf, key
from sccachedist.config.values import JWT_KEY, PATH, REVOKED, SECONDS, TEXT, TOKEN, URL
from sccachedist.wire.addresses import ServerId

AT_ONCE = Effect.AT_ONCE


@frozen
class InsecureAuth:
    """A token that is public knowledge: anyone who reaches the port is let in."""


#: One build server, or all at an address.
RevokedServer: TypeAlias = ServerId | IPv4Address | IPv6Address

_REVOKED = key(
    ListOf(REVOKED),
    "Build servers that are let in no longer, whatever token they show: each by its ``public_addr``, or all at one IP "
    "address.",
    AT_ONCE,
)


@frozen
class TokenAuth:
    """One secret text, which all clients show."""

    token: str = field(repr=False, metadata=key(TOKEN, "The secret.", AT_ONCE))
    previous_token: str | None = field(
        default=None,
        repr=False,
        metadata=key(TOKEN, "The secret before it, good as well until all clients have the new one.", AT_ONCE),
    )


@frozen
class ServersTokenAuth(TokenAuth):
    """One secret text, which all build servers show."""

    previous_token: str | None = field(
        default=None,
        repr=False,
        metadata=key(TOKEN, "The secret before it, good as well until all build servers have the new one.", AT_ONCE),
    )
    revoked: tuple[RevokedServer, ...] = field(default=(), metadata=_REVOKED)


@frozen
class OwnToken:
    """The secret text that all build servers show."""

    token: str = field(repr=False, metadata=key(TOKEN, "The secret."))


@frozen
class JwtValidate:
    """Clients show JWTs that an identity provider has signed."""

    audience: str = field(metadata=key(TEXT, "The ``aud`` that a token must have."))
    issuer: str = field(metadata=key(TEXT, "The ``iss`` that a token must have."))
    jwks_url: str = field(
        metadata=key(URL, "Where the provider publishes its keys. It may be behind a proxy, and redirect.")
    )


@frozen
class ProxyToken:
    """A web service checks each client's token, shown to it as a Bearer token: an answer of success accepts it."""

    url: str = field(metadata=key(URL, "The service to ask. It may be behind a proxy, and redirect."))
    cache_secs: int | None = field(
        default=None,
        metadata=key(SECONDS, "How long a good answer is remembered; without it the service is asked each time."),
    )


@frozen
class JwtHs256:
    """Every build server has a token of its own, which the scheduler's key has signed."""

    secret_key: bytes = field(repr=False, metadata=key(JWT_KEY, "The key that signs build servers' tokens.", AT_ONCE))
    previous_secret_key: bytes | None = field(
        default=None,
        repr=False,
        metadata=key(
            JWT_KEY,
            "The key before it: tokens that it signed are good until each build server has a new one.",
            AT_ONCE,
        ),
    )
    revoked: tuple[RevokedServer, ...] = field(default=(), metadata=_REVOKED)


@frozen
class JwtToken:
    """The build server's own token, which the scheduler's key has signed for this address."""

    token: str = field(
        repr=False,
        metadata=key(TOKEN, "The token that ``auth generate-jwt-hs256-server-token`` printed for this build server."),
    )


@frozen
class OverlayBuilderSettings:
    """Compiles run under bubblewrap on an overlay of the toolchain. Linux."""

    build_dir: Path = field(metadata=key(PATH, "The directory for the file systems of running jobs."))
    bwrap_path: Path = field(metadata=key(PATH, "The ``bwrap`` program, 0.3.0 or newer."))


@frozen
class DockerBuilderSettings:
    """Compiles run in Docker containers."""


@frozen
class PotBuilderSettings:
    """Compiles run in pot jails. FreeBSD."""

    pot_fs_root: Path = field(default=Path("/opt/pot"), metadata=key(PATH, "The root of pot's file systems."))
    clone_from: str = field(default="sccache-template", metadata=key(TEXT, "The pot that jails are cloned from."))
    pot_cmd: Path = field(default=Path("pot"), metadata=key(PATH, "The ``pot`` command."))
    pot_clone_args: tuple[str, ...] = field(
        default=("-i", "lo0|127.0.0.2"), metadata=key(ListOf(TEXT), "Further arguments of ``pot clone``.")
    )


@frozen
class RemoteBuilderSettings:
    """Compiles run at workers that dial in to this build server, a gateway."""

    tokens: tuple[str, ...] = field(
        repr=False,
        metadata=key(
            ListOf(TOKEN, least=1),
            "The secrets with which workers are let in: one for each, or for several. At a reload, workers are sent "
            "away whose token is gone.",
            AT_ONCE,
        ),
    )


ClientAuthSettings: TypeAlias = InsecureAuth | TokenAuth | JwtValidate | ProxyToken
ServerAuthSettings: TypeAlias = InsecureAuth | TokenAuth | JwtHs256
SchedulerAuthSettings: TypeAlias = InsecureAuth | OwnToken | JwtToken
LocalBuilderSettings: TypeAlias = OverlayBuilderSettings | DockerBuilderSettings | PotBuilderSettings
BuilderSettings: TypeAlias = LocalBuilderSettings | RemoteBuilderSettings

INSECURE = "DANGEROUSLY_INSECURE"
CLIENT_AUTH = Choice(
    {INSECURE: InsecureAuth, "token": TokenAuth, "jwt_validate": JwtValidate, "proxy_token": ProxyToken},
    gone={"mozilla": "check the provider's tokens with jwt_validate, or ask a service of yours with proxy_token"},
)
SERVER_AUTH = Choice({INSECURE: InsecureAuth, "token": ServersTokenAuth, "jwt_hs256": JwtHs256})
SCHEDULER_AUTH = Choice({INSECURE: InsecureAuth, "token": OwnToken, "jwt_token": JwtToken})
LOCAL_BUILDER = Choice({"overlay": OverlayBuilderSettings, "docker": DockerBuilderSettings, "pot": PotBuilderSettings})
BUILDER = Choice({**LOCAL_BUILDER.kinds, "remote": RemoteBuilderSettings})
