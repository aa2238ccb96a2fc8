"""The clients' file: who may compile under a name, with which tokens, and with which share of a full farm.

It has a table for each client, and hashes of tokens instead of tokens. How a share is kept is not known here.
"""

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import tomli
from attrs import evolve, field, frozen

from sccachedist.config.schema import Effect, ListOf, Table, TableOf, key, loaded
from sccachedist.config.values import CLIENT, COUNT, DIGEST, HEADER, LABEL, MOMENT, PATH, SECONDS, WEIGHT, one_of
from sccachedist.errors import ConfigError
from sccachedist.given_files import read_given
from sccachedist.wire.abilities import MOST_LABELS

#: The most bytes of a clients' file.
_MOST_BYTES = 1 << 24
#: The table for clients without a name of their own.
DEFAULT = "_default"


class ClientClass(enum.Enum):
    """Whether someone waits for what a client compiles."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


@frozen
class TokenSettings:
    """A token of a client. Times are seconds since 1970; a day in the file is its first second, UTC."""

    sha256: str = field(metadata=key(DIGEST, "The SHA-256 of the token, in hexadecimal."))
    added: float | None = field(default=None, metadata=key(MOMENT, "When it was added."))
    until: float | None = field(
        default=None,
        metadata=key(MOMENT, "When it ends: clients that show it then compile locally. By default it does not."),
    )


@frozen
class ClientSettings:
    """A client with a name: a table of the clients' file."""

    weight: float = field(
        default=1.0, metadata=key(WEIGHT, "Its share of a full farm, beside the weights of other clients.")
    )
    max_slots: int | None = field(
        default=None, metadata=key(COUNT, "The most slots that it has at a time; by default as many as there are.")
    )
    class_: ClientClass = field(
        default=ClientClass.INTERACTIVE,
        metadata=key(
            one_of(ClientClass),
            "``batch`` for a client that gets what no ``interactive`` one waits for, and one slot in ten.",
        ),
    )
    tokens: tuple[TokenSettings, ...] = field(
        default=(),
        metadata=key(ListOf(Table(TokenSettings)), "Its tokens; each is good, so that one can be exchanged."),
    )
    labels: tuple[str, ...] = field(
        default=(),
        metadata=key(
            ListOf(LABEL, most=MOST_LABELS),
            "Its jobs go only to build servers that have all of these labels (``capacity.labels``).",
        ),
    )


@frozen
class ClientsSettings:
    """Clients with names of their own, beside those that ``client_auth`` lets in.

    :param named: what the file says, by name; no key of a configuration.
    """

    file: Path | None = field(
        default=None,
        metadata=key(PATH, "The file that has them, relative to this one; by default there are none.", Effect.AT_ONCE),
    )
    grace_secs: int = field(
        default=60,
        metadata=key(SECONDS, "How many seconds a secret is still good that a reload has replaced.", Effect.AT_ONCE),
    )
    name_header: str | None = field(
        default=None,
        metadata=key(
            HEADER,
            "With ``client_auth.type = \"proxy_token\"``, the header of the service's answer that has the client's "
            "name, such as ``X-User``.",
            Effect.AT_ONCE,
        ),
    )
    named: Mapping[str, ClientSettings] = field(factory=dict, metadata=loaded(TableOf(ClientSettings, CLIENT)))


def with_clients(settings: ClientsSettings, folder: Path) -> ClientsSettings:
    """The same with what the file says.

    :param folder: the directory for a relative path.
    :raises ConfigError: one line with the file, the key if one is to blame, and what was expected.
    """
    if settings.file is None:
        return settings
    return evolve(settings, file=(folder / settings.file).absolute(), named=load_clients(folder / settings.file))


def load_clients(path: Path) -> Mapping[str, ClientSettings]:
    """Read a clients' file.

    :returns: the clients by name; :data:`DEFAULT` may be among them.
    :raises ConfigError: one line with the file, the key if one is to blame, and what was expected.
    """
    try:
        return read_clients(read_given(path, _MOST_BYTES))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def read_clients(octets: bytes) -> Mapping[str, ClientSettings]:
    """The clients of a file's content.

    :raises ConfigError: one line that begins with the key, if one is to blame.
    """
    try:
        document = tomli.loads(octets.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"line {line}: not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not TOML: {error}") from None
    clients = cast(dict[str, ClientSettings], TableOf(ClientSettings, CLIENT).read(document, ""))
    _refuse_doubles(clients)
    return clients


def _refuse_doubles(clients: Mapping[str, ClientSettings]) -> None:
    owners: dict[str, str] = {}
    for name, client in clients.items():
        if name == DEFAULT and client.tokens:
            raise ConfigError(f"{DEFAULT}.tokens: those without a name show the token of client_auth")
        for index, token in enumerate(client.tokens):
            if (owner := owners.setdefault(token.sha256, name)) is not name:
                raise ConfigError(f"{name}.tokens[{index}].sha256: {owner} has the same token")
