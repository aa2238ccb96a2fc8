"""The clients' file: what it may say, and in which words it is refused."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sccachedist.config import clients_file, load_scheduler_settings
from sccachedist.config.clients import ClientClass, ClientSettings, ClientsSettings, TokenSettings, load_clients
from sccachedist.errors import ConfigError
from tests.support.config_lines import SCHEDULER

A, B = "a" * 64, "b" * 64
WHOLE = f"""
[ann]
weight = 2
max_slots = 128
class = "interactive"
tokens = [
    {{ sha256 = "{A.upper()}", added = 2026-11-01 }},
    {{ sha256 = "{B}", until = 2027-01-15T01:00:00+01:00 }},
]

[build-7]
class = "batch"
weight = 0.5

[_default]
weight = 0.25
"""


def seconds(*moment: int) -> float:
    year, month, day = moment
    return datetime(year, month, day, tzinfo=UTC).timestamp()


def test_a_whole_file(tmp_path: Path) -> None:
    """Each client has a table; all of its keys have defaults. Times are seconds since 1970."""
    path = tmp_path / "clients.toml"
    path.write_text(WHOLE)
    tokens = (TokenSettings(A, added=seconds(2026, 11, 1)), TokenSettings(B, until=seconds(2027, 1, 15)))
    assert load_clients(path) == {
        "ann": ClientSettings(weight=2, max_slots=128, tokens=tokens),
        "build-7": ClientSettings(weight=0.5, class_=ClientClass.BATCH),
        "_default": ClientSettings(weight=0.25),
    }


def test_an_empty_file(tmp_path: Path) -> None:
    """It has no clients."""
    path = tmp_path / "clients.toml"
    path.write_bytes(b"")
    assert load_clients(path) == {}


A_NAME = "expected the name of a client such as ann or build-7"
A_DIGEST = "expected 64 hexadecimal digits, as sha256sum prints them"
A_TIME = "expected a day such as 2027-01-15, or a time such as 2027-01-15T12:00:00Z"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weight = 2", "weight: expected a table"),
        ("[_other]", f"_other: {A_NAME}"),
        ('["10.0.0.7"]', f'"10.0.0.7": {A_NAME}'),
        ('["ann\\u202e"]', f'"ann\\u202e": {A_NAME}'),
        ('["<script>"]', f'"<script>": {A_NAME}'),
        ('[""]', f'"": {A_NAME}'),
        (f"[{'a' * 65}]", f"{'a' * 65}: {A_NAME}"),
        ("[ann]\nweigth = 2", "ann.weigth: unknown key, did you mean weight?"),
        ("[ann]\nweight = 0", "ann.weight: expected a number from 0.001 to 1000"),
        ("[ann]\nweight = nan", "ann.weight: expected a number from 0.001 to 1000"),
        ("[ann]\nweight = true", "ann.weight: expected a number from 0.001 to 1000"),
        ("[ann]\nmax_slots = 0", "ann.max_slots: expected a whole number, 1 or more"),
        ('[ann]\nclass = "night"', "ann.class: expected one of interactive, batch"),
        ("[ann]\nclass_ = 1", "ann.class_: unknown key, did you mean class?"),
        ('[ann]\ntokens = [{ sha256 = "scd_secret" }]', f"ann.tokens[0].sha256: {A_DIGEST}"),
        ("[ann]\ntokens = [{}]", f"ann.tokens[0].sha256: missing, {A_DIGEST}"),
        (f'[ann]\ntokens = [{{ sha256 = "{A}", until = 12:00:00 }}]', f"ann.tokens[0].until: {A_TIME}"),
        (f'[ann]\ntokens = [{{ sha256 = "{A}", until = 0001-01-01 }}]', f"ann.tokens[0].until: {A_TIME}"),
        (
            f'[ann]\ntokens = [{{ sha256 = "{A}" }}]\n[bob]\ntokens = [{{ sha256 = "{A}" }}]',
            "bob.tokens[0].sha256: ann has the same token",
        ),
        (
            f'[_default]\ntokens = [{{ sha256 = "{A}" }}]',
            "_default.tokens: those without a name show the token of client_auth",
        ),
        ("[ann", "not TOML: "),
    ],
)
def test_refused(tmp_path: Path, text: str, said: str) -> None:
    """One line names the file and the key; it quotes no value."""
    path = tmp_path / "clients.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_clients(path)
    assert str(caught.value).startswith(f"{path}: {said}")
    assert len(str(caught.value).splitlines()) == 1
    assert "secret" not in str(caught.value)


def test_not_a_file_of_text(tmp_path: Path) -> None:
    """A file that is missing or is not UTF-8 is refused in the same way."""
    path = tmp_path / "clients.toml"
    with pytest.raises(ConfigError, match=r"clients\.toml: cannot be read: No such file or directory$"):
        load_clients(path)
    path.write_bytes(b"[ann]\n# \xff\n")
    with pytest.raises(ConfigError, match=r"clients\.toml: line 2: not UTF-8$"):
        load_clients(path)


def test_named_by_a_configuration(tmp_path: Path) -> None:
    """A scheduler's file names it, relative to itself; a reader who only wants to know where it is need not read it."""
    path, file = tmp_path / "scheduler.conf", tmp_path / "clients.toml"
    path.write_text(SCHEDULER)
    assert load_scheduler_settings(path).clients == ClientsSettings()
    assert clients_file(path) is None
    path.write_text(f'{SCHEDULER}[clients]\nfile = "clients.toml"\nname_header = "X-User"\n')
    assert clients_file(path) == file
    with pytest.raises(ConfigError, match=r"^/.*/clients\.toml: cannot be read: No such file or directory$"):
        load_scheduler_settings(path)
    file.write_text(WHOLE)
    assert load_scheduler_settings(path).clients == ClientsSettings(file, 60, "x-user", load_clients(file))
    file.write_text("[ann]\nweight = 0\n")
    with pytest.raises(ConfigError, match=r"^/.*/clients\.toml: ann\.weight: expected a number from 0\.001 to 1000$"):
        load_scheduler_settings(path)


def test_named_from_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However its path is written, a configuration means the same: nothing differs from the one that a daemon has."""
    (tmp_path / "clients.toml").write_text(WHOLE)
    (tmp_path / "scheduler.conf").write_text(f'{SCHEDULER}[clients]\nfile = "clients.toml"\n')
    monkeypatch.chdir(tmp_path)
    assert load_scheduler_settings(Path("scheduler.conf")) == load_scheduler_settings(tmp_path / "scheduler.conf")


def test_what_the_file_says_is_no_key(tmp_path: Path) -> None:
    """No configuration can have what stands in the clients' file."""
    path = tmp_path / "scheduler.conf"
    path.write_text(f"{SCHEDULER}[clients.named.ann]\n")
    with pytest.raises(ConfigError, match=r"clients\.named: unknown key"):
        load_scheduler_settings(path)


def test_no_regular_file(tmp_path: Path) -> None:
    """A pipe is not waited for, and a directory is none."""
    pipe = tmp_path / "clients.toml"
    os.mkfifo(pipe)
    for path, why in ((pipe, "expected a regular file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError) as error:
            load_clients(path)
        assert str(error.value) == f"{path}: cannot be read: {why}"
