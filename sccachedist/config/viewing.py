"""The tables of the configuration about who may look into a farm, and who may act on it.

This module does not know how the scheduler uses a setting.
"""

import enum
from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from sccachedist.config.schema import Effect, TableOf, key
from sccachedist.config.values import ADDRESS, BOOL, DIGEST, HEADER, NUMBER, PATH, PERSON, TEXT, TOKEN, one_of
from sccachedist.wire.addresses import ServerId


class ViewFor(enum.Enum):
    """Who may look into a farm."""

    CLIENTS = "clients"
    ANYONE = "anyone"
    VIEWERS = "viewers"


class NamesFor(enum.Enum):
    """Who sees the names of the files that other clients compile."""

    VIEWERS = "viewers"
    CLIENTS = "clients"


@frozen
class PersonSettings:
    """An administrator with a name, which stands beside what that person does: ``[admin.people.ann]``."""

    token_sha256: str | None = field(
        default=None,
        repr=False,
        metadata=key(
            DIGEST,
            "The SHA-256 of that person's token, in hexadecimal; without it, the person comes by ``web.user_header``.",
        ),
    )


@frozen
class AdminSettings:
    """Who may tell the scheduler what to do, with ``sccachedist drain`` and on the page."""

    token: str | None = field(
        default=None,
        repr=False,
        metadata=key(
            TOKEN,
            "The secret of an administrator without a name; without it and ``admin.people``, there is none.",
            Effect.AT_ONCE,
        ),
    )
    people: Mapping[str, PersonSettings] = field(
        factory=dict, metadata=key(TableOf(PersonSettings, PERSON), "Administrators, by name.", Effect.AT_ONCE)
    )
    state: Path | None = field(
        default=None,
        metadata=key(
            PATH,
            "A file that keeps what administrators have drained or paused over a restart of the scheduler; one beside "
            "it, with ``.servers`` behind its name, keeps the last heartbeats of build servers. By default, a restart "
            "forgets both. With ``[cluster]``, heartbeats are in the store.",
        ),
    )


@frozen
class WebSettings:
    """The page of the farm and its API, and who may look."""

    title: str = field(default="sccachedist", metadata=key(TEXT, "The name of the farm, as the page shows it."))
    address: ServerId | None = field(
        default=None,
        metadata=key(
            ADDRESS,
            "The address of a port for the page and the API alone; the page is not at ``public_addr`` then. With "
            "``[tls]`` it speaks TLS, too.",
            Effect.RESTART,
        ),
    )
    view: ViewFor = field(
        default=ViewFor.CLIENTS,
        metadata=key(
            one_of(ViewFor),
            "Who may look: all who may compile, anyone who reaches the port, or only those who show "
            "``web.viewer_token`` and administrators.",
        ),
    )
    viewer_token: str | None = field(
        default=None,
        repr=False,
        metadata=key(TOKEN, "The secret of those who may look and not act.", Effect.AT_ONCE),
    )
    names: NamesFor = field(
        default=NamesFor.VIEWERS,
        metadata=key(
            one_of(NamesFor),
            "Who sees the names of other clients' files, if records have them (``records.names``): viewers, or all "
            "who may compile.",
        ),
    )
    plain_http: bool = field(
        default=False,
        metadata=key(
            BOOL,
            "Whether administrators may sign in at the page without TLS from elsewhere than this host or a trusted "
            "proxy.",
        ),
    )
    user_header: str | None = field(
        default=None,
        metadata=key(
            HEADER,
            "The header in which ``network.trusted_proxies`` name the user that they let in: a viewer, or an "
            "administrator if ``admin.people`` has that name. They must not pass one on that the user has sent.",
        ),
    )
    viewers: int = field(
        default=200, metadata=key(NUMBER, "How many pages may be live at a time; others ask every ten seconds.")
    )
