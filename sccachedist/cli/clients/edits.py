"""Changes to the text of a file of named clients, which keep its comments, its order and its way of writing. Pure.

Each change is made twice: to the text, by the library that keeps what people wrote, and to what a scheduler would read
in it. Only if both come to the same is the text good. It does not know where a file lies, and sees no token.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import tomli
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Item, Key, Table

from sccachedist.config.clients import DEFAULT
from sccachedist.errors import ConfigError

_BYTE_ORDER = "\ufeff"

_Clients = dict[str, Any]
_Give = Callable[[dict[str, Any], dict[str, Any]], None]
#: Changes clients; gives a client, its table, a token with what it is told.
_Edit = Callable[[_Clients, _Give], None]


def added(text: str, name: str, share: Mapping[str, object], digest: str, now: datetime) -> str:
    """The text in which a client has its first token.

    :param text: TOML that a scheduler takes, as for all functions here.
    :param share: what the client's table is to have beside its tokens.
    :param digest: the SHA-256 of its token, in hexadecimal.
    :raises ConfigError: it has a token already.
    """

    def edit(clients: _Clients, give: _Give) -> None:
        if clients.get(name, {}).get("tokens"):
            raise ConfigError(f"{name} has a token already: client rotate gives it another one")
        client = clients.setdefault(name, {})
        client.update(share)
        give(client, _token(digest, now))

    return _edited(text, name, edit, is_new=True)


def changed(text: str, name: str, share: Mapping[str, object]) -> str:
    """The text in which a client has another share of the farm.

    :param name: one without a table may only be :data:`~sccachedist.config.clients.DEFAULT`.
    :param share: what its table is to have; a key that is None is to go.
    :raises ConfigError: there is no such client.
    """

    def edit(clients: _Clients, _: _Give) -> None:
        client = clients.setdefault(name, {}) if name == DEFAULT else _known(clients, name)
        for key, value in share.items():
            if value is not None:
                client[key] = value
            elif key in client:
                del client[key]

    return _edited(text, name, edit, is_new=name == DEFAULT)


def rotated(text: str, name: str, digest: str, now: datetime, until: datetime) -> str:
    """The text in which a client has one more token, and each of its others ends at ``until``, or earlier.

    :raises ConfigError: there is no such client.
    """

    def edit(clients: _Clients, give: _Give) -> None:
        client = _known(clients, name)
        for token in client.get("tokens", ()):
            if "until" not in token or moment(token["until"]) > until:
                token["until"] = _whole(until)
        give(client, _token(digest, now))

    return _edited(text, name, edit)


def revoked(text: str, name: str, beginning: str = "") -> tuple[str, list[str]]:
    """The text in which a client has lost its tokens, and their digests; its table stays.

    :param beginning: how the digest begins of the one token that it loses; empty for all.
    :raises ConfigError: there is no such client or token, or there are several.
    """
    lost: list[str] = []

    def edit(clients: _Clients, _: _Give) -> None:
        tokens = _known(clients, name).get("tokens", ())
        places = [place for place, token in enumerate(tokens) if token["sha256"].lower().startswith(beginning)]
        if not places:
            raise ConfigError(f"{name} has no token" + (f" whose SHA-256 begins with {beginning}" if beginning else ""))
        if beginning and len(places) > 1:
            raise ConfigError(f"the SHA-256 of {len(places)} tokens of {name} begins with {beginning}: give more of it")
        lost[:] = [tokens[place]["sha256"].lower() for place in places]
        for place in reversed(places):
            del tokens[place]

    return _edited(text, name, edit), lost


def moment(written: date) -> datetime:
    """What a date or a time in a file means; without a zone, it is of UTC, and a day begins at midnight."""
    if not isinstance(written, datetime):
        written = datetime(written.year, written.month, written.day)
    return written if written.tzinfo else written.replace(tzinfo=UTC)


def _known(clients: _Clients, name: str) -> dict[str, Any]:
    if name not in clients:
        raise ConfigError(f"there is no client {name}: client add makes one")
    client: dict[str, Any] = clients[name]
    return client


def _give(client: dict[str, Any], token: dict[str, Any]) -> None:
    client.setdefault("tokens", []).append(token)


def _give_in_text(client: dict[str, Any], token: dict[str, Any]) -> None:
    """As people write it: the tokens of a client in lines of one list, or else as they are already."""
    if not client.get("tokens"):
        client["tokens"] = tomlkit.array().multiline(True)
    written = tomlkit.table() if isinstance(client["tokens"], AoT) else tomlkit.inline_table()
    written.update(token)
    client["tokens"].append(written)


def _token(digest: str, now: datetime) -> dict[str, Any]:
    return {"sha256": digest, "added": now.astimezone(UTC).date()}


def _whole(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(microsecond=0)


@contextlib.contextmanager
def _apart(document: tomlkit.TOMLDocument, name: str) -> Iterator[None]:
    """Take what stands between a client and the next one aside: to the library, that is a part of the former."""
    client, between = document.get(name), []
    if not isinstance(client, Table):
        yield
        return
    body = _end(client)
    while body and body[-1][0] is None:
        between.append(body.pop())
    yield
    _end(client).extend(reversed(between))


def _end(table: Table) -> list[tuple[Key | None, Item]]:
    """The lines of a table, or of its last part that is a table."""
    body = table.value.body
    last = next((item for key, item in reversed(body) if key is not None), None)
    if isinstance(last, AoT):
        last = last[-1] if last else None
    return _end(last) if isinstance(last, Table) else body


def _edited(text: str, name: str, edit: _Edit, *, is_new: bool = False) -> str:
    """:param is_new: the client may not have a table yet, before which a line is left empty."""
    mark, text = text[: text.startswith(_BYTE_ORDER)], text.removeprefix(_BYTE_ORDER)
    line_end = "\r\n" if "\r\n" in text else "\n"
    text += line_end if text and not text.endswith("\n") else ""
    meant: _Clients = tomli.loads(text)
    is_first = not meant.keys() - {name}
    edit(meant, _give)
    try:
        document = tomlkit.parse(text)
        if is_new and name not in document and not is_first:
            document.add(tomlkit.nl())
        with _apart(document, name):
            edit(document, _give_in_text)
        result = mark + re.sub(r"(?<!\r)\n", line_end, tomlkit.dumps(document))
        if tomli.loads(result.removeprefix(mark)) == meant:
            return result
    except (TOMLKitError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise _too_odd() from error
    raise _too_odd()


def _too_odd() -> ConfigError:
    return ConfigError("it is written in a way that a command cannot change without loss: change it by hand")
