"""Where a command finds the scheduler, which token it shows there, and what proves that it is the right one.

The first of these that there is: ``--scheduler``, the variable ``SCCACHEDIST_SCHEDULER``, the scheduler's own
configuration (``--config``), and the configuration of ``sccache`` itself, which a developer has anyway. So a developer
needs no further set-up. This module reads files and opens no connection.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import tomli

from sccachedist.cli.web_client import Trust
from sccachedist.errors import ConfigError
from sccachedist.wire.http_texts import header_token, split_url

SCHEDULER_VARIABLE, TOKEN_VARIABLE = "SCCACHEDIST_SCHEDULER", "SCCACHEDIST_TOKEN_FILE"
#: What the published client and scheduler show and take where nothing else is configured.
INSECURE_TOKEN = "dangerously_insecure_client"


@attrs.frozen
class SchedulerPlace:
    """A scheduler, as a command reaches it.

    :param token: None if there is none to show.
    :param shown: whose token that is, in words for an error.
    """

    url: str
    token: str | None = attrs.field(repr=False)
    shown: str
    trust: Trust = attrs.field(factory=Trust)


@attrs.frozen
class Given:
    """What the command line says about the scheduler; None for what it does not say."""

    scheduler: str | None = None
    config: Path | None = None
    token_file: Path | None = None
    authorities: Path | None = None


def scheduler_place(given: Given, environment: Mapping[str, str] = os.environ) -> SchedulerPlace:
    """Find the scheduler.

    :raises ConfigError: there is none, with where it was looked for, or a file is wrong.
    """
    url = given.scheduler or _url(environment.get(SCHEDULER_VARIABLE), SCHEDULER_VARIABLE)
    token_file = given.token_file or _path(environment.get(TOKEN_VARIABLE))
    token = None if token_file is None else _token(_text(token_file).removesuffix("\n"), str(token_file))
    if given.config is not None:
        found = _of_scheduler(given.config, given.authorities)
        if url is not None:
            found = attrs.evolve(found, url=url)
    elif url is None or token is None:
        found = _beside_client(url, given.authorities, environment)
    else:
        found = SchedulerPlace(url, None, "", Trust(authorities=given.authorities))
    return found if token is None else attrs.evolve(found, token=token, shown=f"the token in {token_file}")


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
    from sccachedist.cli.admin_client import own_url, trust_in
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
