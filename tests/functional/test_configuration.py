"""Configuration files as we judge them and as the published program does: but for what a table names, alike."""

import json
import re
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.support.forms import FORMS, Document, toml_file
from tests.support.verdicts import HERE, KEY, TOKEN, Verdict, published, refusal

pytestmark = pytest.mark.functional

EXPIRING = jwt.encode({"exp": 2**33, "server_id": HERE}, bytes(32), "HS256")

INSECURE: Document = {"type": "DANGEROUSLY_INSECURE"}
SCHEDULER: Document = {"public_addr": "192.0.2.1:10600", "client_auth": INSECURE, "server_auth": INSECURE}
OVERLAY: Document = {"type": "overlay", "build_dir": "/tmp/build", "bwrap_path": "/usr/bin/bwrap"}
SERVER: Document = {
    "cache_dir": "/nowhere/toolchains",
    "public_addr": HERE,
    "scheduler_url": "https://192.0.2.1",
    "builder": OVERLAY,
    "scheduler_auth": INSECURE,
}
BASES = {"scheduler": SCHEDULER, "server": SERVER}


def one_key(file: Path, role: str, key: str, value: str) -> Path:
    """A file that is good but for one key."""
    others = {name: other for name, other in BASES[role].items() if name != key}
    file.write_text(f"{key} = {value}\n{toml_file(others)}")
    return file


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    """No file, a directory and what is not UTF-8."""
    latin = tmp_path / "latin1.conf"
    latin.write_bytes(toml_file(SCHEDULER).encode() + b"# caf\xe9\n")
    for file in (tmp_path / "missing.conf", tmp_path, latin):
        assert refusal("scheduler", file)
        assert published("scheduler", file) is Verdict.REFUSED


# What the published documentation shows, with an address, a URL, a key and a token where it has placeholders.
EXAMPLES: list[tuple[str, str, Any]] = [
    ("scheduler", "client_auth", {"type": "token", "token": "my client token"}),
    ("scheduler", "client_auth", {"type": "token", "token": "YOUR_TOKEN_HERE"}),
    ("scheduler", "client_auth", {"type": "proxy_token", "url": "https://idp.example/check", "cache_secs": 60}),
    (
        "scheduler",
        "client_auth",
        {"type": "jwt_validate", "audience": "audience", "issuer": "issuer", "jwks_url": "https://idp.example/keys"},
    ),
    ("scheduler", "client_auth", INSECURE),
    ("scheduler", "server_auth", {"type": "jwt_hs256", "secret_key": KEY}),
    ("scheduler", "server_auth", {"type": "token", "token": "preshared token"}),
    ("server", "scheduler_auth", {"type": "jwt_token", "token": TOKEN}),
    ("server", "scheduler_auth", {"type": "token", "token": "preshared token"}),
    ("server", "builder", {"type": "docker"}),
    ("server", "builder", {"type": "pot"}),
    (
        "server",
        "builder",
        {
            "type": "pot",
            "pot_fs_root": "/opt/pot",
            "clone_from": "sccache-template",
            "pot_cmd": "pot",
            "pot_clone_args": ["-i", "lo0|127.0.0.2"],
        },
    ),
    ("server", "toolchain_cache_size", 10737418240),
    ("server", "bind_address", "0.0.0.0:10501"),
    ("server", "scheduler_url", "https://192.168.1.1"),
    ("server", "scheduler_url", "http://127.0.0.1:10600"),
]


@pytest.mark.parametrize(("role", "key", "value"), EXAMPLES)
def test_the_examples_of_the_published_documentation(tmp_path: Path, role: str, key: str, value: object) -> None:
    """Each is taken, by both, in every form."""
    for form, write in FORMS.items():
        file = tmp_path / form
        file.write_text(write(BASES[role] | {key: value}), newline="")
        assert refusal(role, file) is None
        assert published(role, file) is not Verdict.REFUSED


# TOML 1.1, in the values of keys that the published program reads or passes over.
TOML_1_1 = [
    '{ type = "DANGEROUSLY_INSECURE", }',
    '{\n  type = "DANGEROUSLY_INSECURE" # a comment\n\n}',
    '{\r\n  type = "DANGEROUSLY_INSECURE"\r\n  ,\r\n}',
    '{ type = "token", token = "\\x41\\xe9" }',
    '{ type = "DANGEROUSLY_INSECURE", passed_over = "\\e[0m" }',
    '{ type = "DANGEROUSLY_INSECURE", passed_over = 12:30 }',
    '{ type = "DANGEROUSLY_INSECURE", passed_over = [2026-01-02T12:30, 2026-01-02 12:30Z, 2026-01-02T12:30+01:00] }',
]
NOT_TOML = ["{ , }", '{ type = "DANGEROUSLY_INSECURE",, }', '{ type = "token", token = "\\x4" }', "{ é = 1 }", "12:3"]


@pytest.mark.parametrize("value", TOML_1_1)
def test_toml_1_1(tmp_path: Path, value: str) -> None:
    """What came with TOML 1.1 is taken by both."""
    file = one_key(tmp_path / "dist.conf", "scheduler", "client_auth", value)
    assert (refusal("scheduler", file), published("scheduler", file)) == (None, Verdict.TAKEN)


@pytest.mark.parametrize("value", NOT_TOML)
def test_what_is_no_toml_either(tmp_path: Path, value: str) -> None:
    """It is refused by both, by us with the line."""
    file = one_key(tmp_path / "dist.conf", "scheduler", "client_auth", value)
    assert re.fullmatch(r"not TOML: .* \(at line 1, column \d+\)", refusal("scheduler", file) or "")
    assert published("scheduler", file) is Verdict.REFUSED


# Where we differ, on purpose: doc/operations.rst, "Other than the published daemons". A key and its value in TOML.
ONLY_THE_PUBLISHED: list[tuple[str, str, str]] = [
    # tokens that no header can carry, or that protect nothing
    ("scheduler", "client_auth", '{ type = "token", token = "" }'),
    ("scheduler", "client_auth", '{ type = "token", token = " x" }'),
    ("scheduler", "server_auth", '{ type = "token", token = "a\\nb" }'),
    ("server", "scheduler_auth", f'{{ type = "jwt_token", token = "{EXPIRING}" }}'),
    # URLs that nobody can ask, with a secret in them, or with what would be passed over
    ("scheduler", "client_auth", '{ type = "proxy_token", url = "..." }'),
    ("scheduler", "client_auth", '{ type = "proxy_token", url = "http://user:secret@h" }'),
    *(
        ("server", "scheduler_url", f'"{url}"')
        for url in ("http://h:0", "http://user:secret@h", "http://h?x", "http://h/#f", "http://h/a/..")
    ),
    # URLs and addresses that are mended or completed by guessing
    *(
        ("server", "scheduler_url", f'"{url}"')
        for url in ("http:h", "http:/h", r"http:\\h", " http://h", "http://h:", "http://%41", "http://127.1")
    ),
    # a scope, which means something on one host only
    ("scheduler", "public_addr", '"[fe80::1%2]:10600"'),
    # paths that name no file
    ("server", "cache_dir", '""'),
    ("server", "cache_dir", '"a\\u0000b"'),
    # lists in the place of tables
    ("scheduler", "client_auth", '["token", "x"]'),
]
ONLY_OURS: list[tuple[str, str, str]] = [
    # tables of our own
    ("scheduler", "limits", "{ unclaimed_jobs = 60 }"),
    ("server", "sandbox", "{}"),
]

# The same in JSON: keys without names, and two values for one key; then a byte order mark, null for a key that is
# left out, and what is passed over.
ONLY_THE_PUBLISHED_IN_JSON = [
    '["192.0.2.1:10600", {"type": "DANGEROUSLY_INSECURE"}, {"type": "DANGEROUSLY_INSECURE"}]',
    json.dumps(SCHEDULER).replace('"type"', '"x": 1, "x": 2, "type"', 1),
]
ONLY_OURS_IN_JSON = [
    ("scheduler", "\ufeff" + json.dumps(SCHEDULER)),
    ("server", json.dumps(SERVER | {"toolchain_cache_size": None})),
    ("scheduler", json.dumps(SCHEDULER | {"client_auth": INSECURE | {"passed over": float("nan")}})),
]


@pytest.mark.parametrize(("role", "key", "value"), ONLY_THE_PUBLISHED)
def test_what_only_the_published_program_takes(tmp_path: Path, role: str, key: str, value: str) -> None:
    """What would not work, or not as it looks, is refused at once."""
    file = one_key(tmp_path / "dist.conf", role, key, value)
    assert (refusal(role, file) is None, published(role, file)) == (False, Verdict.TAKEN)


@pytest.mark.parametrize(("role", "key", "value"), ONLY_OURS)
def test_what_only_we_take(tmp_path: Path, role: str, key: str, value: str) -> None:
    """Our own tables are keys that the published program does not know."""
    file = one_key(tmp_path / "dist.conf", role, key, value)
    assert (refusal(role, file) is None, published(role, file)) == (True, Verdict.REFUSED)


@pytest.mark.parametrize("text", ONLY_THE_PUBLISHED_IN_JSON)
def test_what_only_the_published_program_takes_in_json(tmp_path: Path, text: str) -> None:
    """What leaves open which value is meant for which key."""
    file = tmp_path / "dist.json"
    file.write_text(text)
    assert (refusal("scheduler", file) is None, published("scheduler", file)) == (False, Verdict.TAKEN)


@pytest.mark.parametrize(("role", "text"), ONLY_OURS_IN_JSON)
def test_what_only_we_take_in_json(tmp_path: Path, role: str, text: str) -> None:
    """What can only be meant in one way."""
    file = tmp_path / "dist.json"
    file.write_text(text)
    assert (refusal(role, file) is None, published(role, file)) == (True, Verdict.REFUSED)
