"""Secrets in files of their own: ``token_file`` for ``token``, and so on for each of :data:`SECRETS`.

The file of one of :data:`LISTS` has a secret on each line.

They replace these keys in a document before it is read. This module does not know what the tables mean, and no error
quotes a value.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from sccachedist.directories import is_shared, trusted
from sccachedist.errors import ConfigError
from sccachedist.given_files import read_given

#: The keys that hold secrets, in any table.
SECRETS = (
    "token", "previous_token", "secret_key", "previous_secret_key", "viewer_token", "lock_password", "store_secret_key"
)  # fmt: skip
#: Those that hold several.
LISTS = ("tokens",)
#: The environment variable that names systemd's directory for the files of ``LoadCredential=``.
CREDENTIALS = "CREDENTIALS_DIRECTORY"

_MOST_BYTES = 1 << 16


def with_secrets(document: object, folder: Path, environment: Mapping[str, str] = os.environ) -> object:
    """A document with the secrets from their files, each without the newline at its end.

    :param folder: the directory for relative paths, if systemd has no credential of that name.
    :raises ConfigError: a file cannot be read, or a secret is given twice; it names the dotted key.
    """
    if not isinstance(document, dict):
        return document
    return {
        name: _filled(name, table, folder, environment) if isinstance(table, dict) else table
        for name, table in document.items()
    }


def exposed(document: object, file: Path) -> list[Path]:
    """The files with secrets that other users may read or change; the document's own may be among them."""
    holding = [file] if any(key in table for key in (*SECRETS, *LISTS) for table in _tables(document)) else []
    named = (table.get(f"{key}_file") for table in _tables(document) for key in (*SECRETS, *LISTS))
    holding += [_place(name, file.parent, os.environ) for name in named if isinstance(name, str)]
    return [path for path in holding if _is_exposed(path.stat())]


def _is_exposed(file: os.stat_result) -> bool:
    """Whether others may read or change it; a group may read it that has no other user than this process's."""
    if file.st_mode & 0o026 or file.st_uid not in trusted():
        return True
    return bool(file.st_mode & 0o040) and is_shared(file.st_gid, trusted())


def _tables(document: object) -> Iterator[dict[str, object]]:
    if isinstance(document, dict):
        yield from (table for table in document.values() if isinstance(table, dict))


def _filled(
    table_name: str, table: dict[str, object], folder: Path, environment: Mapping[str, str]
) -> dict[str, object]:
    filled = dict(table)
    for key in (*SECRETS, *LISTS):
        where = f"{table_name}.{key}_file"
        name = filled.pop(f"{key}_file", None)
        if name is None:
            continue
        if not isinstance(name, str) or not name or "\0" in name:
            raise ConfigError(f"{where}: expected a path")
        if filled.get(key) is not None:
            raise ConfigError(f"{where}: {table_name}.{key} is given as well")
        secret = _secret(where, _place(name, folder, environment))
        filled[key] = [line for line in secret.splitlines() if line] if key in LISTS else secret
    return filled


def _place(name: str, folder: Path, environment: Mapping[str, str]) -> Path:
    if credentials := environment.get(CREDENTIALS):
        credential = Path(credentials, name)
        if credential.is_file():
            return credential
    return folder / name


def _secret(where: str, path: Path) -> str:
    try:
        return read_given(path, _MOST_BYTES).decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: {path} is not UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{where}: {path} cannot be read: {error.strerror}") from None
