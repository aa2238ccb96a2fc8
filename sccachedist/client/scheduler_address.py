"""Where commands and scripts find the scheduler, which token they show, and what proves that it is the right one.

The first of these that there is: what one is told (``--scheduler``), the variable ``SCCACHEDIST_SCHEDULER``, the
scheduler's own configuration (``--config``), and the configuration of ``sccache`` itself, which a developer has anyway.
So a developer needs no further set-up. This module reads files and opens no connection.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import tomli

from sccachedist.client.web_client import Trust, pinned
from sccachedist.errors import ConfigError
from sccachedist.wire.http_texts import header_token, split_url

if TYPE_CHECKING:
    from sccachedist.config import SchedulerSettings
    from sccachedist.wire.addresses import ServerId

SCHEDULER_VARIABLE, TOKEN_VARIABLE = "SCCACHEDIST_SCHEDULER", "SCCACHEDIST_TOKEN_FILE"
#: What the published client and scheduler show and take where nothing else is configured.
INSECURE_TOKEN = "dangerously_insecure_client"
_TOKEN_FILE = f"name the file of an administrator's token with --token-file or {TOKEN_VARIABLE}"


@attrs.frozen
class SchedulerPlace:
    """A scheduler, as one reaches it.

    :param token: None if there is none to show.
    :param shown: whose token that is, in words for an error.
    """

    url: str
    token: str | None = attrs.field(repr=False)
    shown: str
    trust: Trust = attrs.field(factory=Trust)


@attrs.frozen
class Given:
    """What the command line or a script says about the scheduler; None for what it does not say.

    :param scheduler: its URL. ``config``: its configuration, if that is on this host.
    :param token_file: has the token to show; ``token`` is one itself, and comes first.
    :param authorities: vouch for its certificate, in a PEM file.
    """

    scheduler: str | None = None
    config: Path | None = None
    token_file: Path | None = None
    authorities: Path | None = None
    token: str | None = attrs.field(default=None, repr=False)


def scheduler_place(given: Given, environment: Mapping[str, str] = os.environ) -> SchedulerPlace:
    """Find the scheduler.

    :raises ConfigError: there is none, with where it was looked for, or a file is wrong.
    """
    url = _url(given.scheduler, "scheduler") or _url(environment.get(SCHEDULER_VARIABLE), SCHEDULER_VARIABLE)
    token, shown = _given_token(given, environment)
    if given.config is not None:
        found = _of_scheduler(given.config, given.authorities)
        if url is not None:
            found = attrs.evolve(found, url=url)
    elif url is None or token is None:
        found = _beside_client(url, given.authorities, environment)
    else:
        found = SchedulerPlace(url, None, "", Trust(authorities=given.authorities))
    return found if token is None else attrs.evolve(found, token=token, shown=shown)


def administrator_place(given: Given, environment: Mapping[str, str] = os.environ) -> SchedulerPlace:
    """Find the scheduler, and the token of an administrator.

    :raises ConfigError: there is none, with what is missing, or a file is wrong.
    """
    if given.token is None and given.token_file is None and not environment.get(TOKEN_VARIABLE):
        from sccachedist.config import load_scheduler_settings

        if given.config is None:
            raise ConfigError(f"{_TOKEN_FILE}, or the scheduler's configuration with --config")
        if load_scheduler_settings(given.config).admin.token is None:
            raise ConfigError(f"{given.config}: admin.token: missing, expected a secret; or {_TOKEN_FILE}")
    return scheduler_place(given, environment)


def own_url(settings: "SchedulerSettings") -> str:
    """The URL at which a scheduler is reached from its own host."""
    return f"{'http' if settings.tls is None else 'https'}://{_reachable(settings.public_addr)}"


def trust_in(settings: "SchedulerSettings", authorities: Path | None) -> Trust:
    """What proves a scheduler's identity: the certificate that its configuration names, or the given authorities.

    :raises ConfigError: the certificate cannot be read.
    """
    if settings.tls is None or authorities is not None:
        return Trust(authorities=authorities)
    try:
        return Trust(pin=pinned(settings.tls.certificate))
    except ConfigError as error:
        raise ConfigError(f"tls.certificate: {error}") from error


def client_config(environment: Mapping[str, str], variable: str = "SCCACHE_CONF", name: str = "config") -> Path:
    """The file that the published client reads (``config_file`` in its ``config.rs``)."""
    if variable in environment:
        return Path(environment[variable])
    home = Path(environment.get("HOME") or Path.home())
    if sys.platform == "darwin":
        folders = [home / "Library" / place / "Mozilla.sccache" for place in ("Application Support", "Preferences")]
        return next((folder / name for folder in folders if (folder / name).exists()), folders[0] / name)
    chosen = Path(environment.get("XDG_CONFIG_HOME", ""))
    return (chosen if chosen.is_absolute() else home / ".config") / "sccache" / name


def _of_scheduler(config: Path, authorities: Path | None) -> SchedulerPlace:
    """By the scheduler's own configuration; the token is the administrators', or else what all clients show."""
    from sccachedist.config import InsecureAuth, TokenAuth, load_scheduler_settings

    settings = load_scheduler_settings(config)
    trust = trust_in(settings, authorities)
    if settings.admin.token is not None:
        return SchedulerPlace(own_url(settings), settings.admin.token, f"admin.token of {config}", trust)
    match settings.client_auth:
        case TokenAuth(token=token):
            return SchedulerPlace(own_url(settings), token, f"client_auth.token of {config}", trust)
        case InsecureAuth():
            return SchedulerPlace(own_url(settings), INSECURE_TOKEN, f"the token of everybody, as in {config}", trust)
    return SchedulerPlace(own_url(settings), None, "", trust)


def _beside_client(url: str | None, authorities: Path | None, environment: Mapping[str, str]) -> SchedulerPlace:
    """By the configuration of sccache. Its token is shown to its own scheduler and to no other."""
    path = client_config(environment)
    dist = _dist_table(path)
    own = _url(dist.get("scheduler_url"), f"{path}: dist.scheduler_url")
    if own is not None:
        parts = urlsplit(own)
        own = f"{parts.scheme}://{parts.netloc}"  # as sccache, which drops a path
    trust = Trust(authorities=authorities)
    if url is not None and own != url.rstrip("/"):
        return SchedulerPlace(url, None, "", trust)
    if own is None:
        raise ConfigError(
            f"no scheduler found: neither --scheduler, {SCHEDULER_VARIABLE} nor --config is given, and there is no "
            f"dist.scheduler_url in {path}"
        )
    return SchedulerPlace(own, _client_token(dist.get("auth"), path, environment), f"dist.auth of {path}", trust)


def _reachable(address: "ServerId") -> "ServerId":
    """The address itself; for an address that means all interfaces, the loopback address with its port."""
    from sccachedist.wire.addresses import ServerId

    if not address.host.is_unspecified:
        return address
    return ServerId.parse(f"{'127.0.0.1' if address.host.version == 4 else '[::1]'}:{address.port}")


def _client_token(auth: object, path: Path, environment: Mapping[str, str]) -> str | None:
    """What the published client shows; None if it would first have to ask an identity provider."""
    match auth:
        case None:
            return INSECURE_TOKEN
        case {"type": "token", "token": str(token)}:
            return _token(token, f"{path}: dist.auth.token")
        case {"auth_url": str(provider)}:  # `sccache --dist-auth` keeps what it got
            kept = client_config(environment, "SCCACHE_CACHED_CONF", "cached-config")
            tokens = _dist_table(kept).get("auth_tokens")
            known = tokens.get(provider) if isinstance(tokens, dict) else None
            return _token(known, f"{kept}: dist.auth_tokens") if isinstance(known, str) else None
    raise ConfigError(f"{path}: dist.auth: expected a table with type = token, or an auth_url")


def _dist_table(path: Path) -> dict[str, object]:
    """The ``[dist]`` of a file of the client's; a file that is not there is like an empty one."""
    try:
        text = _text(path)
        document = json.loads(text) if path.suffix == ".json" else tomli.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: neither TOML nor, with a name in .json, JSON: {error}") from None
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return {}
        raise
    dist = document.get("dist", {}) if isinstance(document, dict) else None
    if not isinstance(dist, dict):
        raise ConfigError(f"{path}: dist: expected a table")
    return dist


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8") from None


def _given_token(given: Given, environment: Mapping[str, str]) -> tuple[str | None, str]:
    """The token that one is told to show, if any, and whose it is."""
    if given.token is not None:
        return _token(given.token, "token"), "the token that was given"
    file = given.token_file or _path(environment.get(TOKEN_VARIABLE))
    return (None, "") if file is None else (_token(_text(file).removesuffix("\n"), str(file)), f"the token in {file}")


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _url(text: Any, whose: str) -> str | None:
    """A URL that is given; None for none, or an empty variable."""
    if text in (None, ""):
        return None
    try:
        if isinstance(text, str):
            return split_url(text).geturl()
    except ValueError:
        pass
    raise ConfigError(f"{whose}: expected a http or https URL")


def _token(text: str, whose: str) -> str:
    try:
        return header_token(text)
    except ValueError:
        raise ConfigError(f"{whose}: expected a text that fits into a HTTP header") from None
