"""Configuration files that hypothesis writes, good and damaged: we take those that the published program takes."""

import copy
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.wire.addresses import ServerId
from sccachedist.wire.tokens import server_token as sign
from tests.support.forms import FORMS, Document
from tests.support.verdicts import HERE, KEY, TOKEN, Verdict, published, refusal

pytestmark = pytest.mark.functional

# Addresses mistyped in many ways, none of them a host's own: on that the published scheduler would start.
ADDRESSES = (HERE, "[2001:db8::1]:10501", "192.0.2.1:0", "[2001:DB8:0::1]:65535", "[::ffff:192.0.2.1]:1")
EDIT = st.tuples(st.floats(0, 1), st.integers(0, 2), st.text("0123456789abcdef:.[]", max_size=2))


def edited(text: str, edit: tuple[float, int, str]) -> str:
    place, length, instead = edit
    start = int(place * len(text))
    return text[:start] + instead + text[start + length :]


def almost(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts) | st.builds(edited, st.sampled_from(texts), EDIT)


def one_of(kind: str, **keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries({"type": st.just(kind)} | keys)


URLS = st.sampled_from(
    [
        *("https://farm.example/", "HTTP://h", HERE, "[2001:db8::1]:5"),
        *("http://h/base", "http://h/base/", "http://h//"),
        *("h", "h:10600", "//h", "ftp://h", "http://", "http://a b", "http://é.example", "", "."),
        *("http://h:99999", "http://h:1:2", "http://h:x", "http://h]", "http://[h", "http://::1", "http://h:-1"),
        *("http://192.0.2.1", "http://192.0.2.1.", "http://192.0.2.300:80", "http://192..2.1", "http://192.0.2.1.1"),
        *("http://[::1]", "http://[::1]5", "http://[::1]x", "http://[::g]", "http://[]", "http://[192.0.2.1]"),
    ]
)
TEXTS = st.sampled_from(["my token", "é", "x" * 300])
PATHS = st.sampled_from(["/tmp/a", "/tmp/a b", "é"])
SIZES = st.sampled_from([0, 1, 2**63, 2**64 - 1])
SECRET_KEYS = st.sampled_from([KEY, f"{KEY}=", f"{KEY}A", f"{KEY}AA", KEY[:-1], f"{KEY[:-1]}9", f"+{KEY[1:]}", ""])
JWTS = st.sampled_from([TOKEN, sign(bytes(32), ServerId.parse("[2001:db8::1]:10501")), "a.b.c", "", TOKEN[1:]])
NO_AUTH, SHARED = one_of("DANGEROUSLY_INSECURE"), one_of("token", token=TEXTS)
URL = st.sampled_from(["http://h/check", "https://h?x=1"])

SCHEDULERS = st.fixed_dictionaries(
    {
        "public_addr": almost(*ADDRESSES),
        "client_auth": NO_AUTH
        | SHARED
        | one_of("proxy_token", url=URL)
        | one_of("proxy_token", url=URL, cache_secs=SIZES)
        | one_of("jwt_validate", audience=TEXTS, issuer=TEXTS, jwks_url=URL),
        "server_auth": NO_AUTH | SHARED | one_of("jwt_hs256", secret_key=SECRET_KEYS),
    }
)
SERVERS = st.fixed_dictionaries(
    {
        "cache_dir": st.just("/nowhere/toolchains"),
        "public_addr": almost(*ADDRESSES),
        "scheduler_url": URLS,
        "builder": one_of("overlay", build_dir=PATHS, bwrap_path=st.just("/usr/bin/bwrap"))
        | one_of("docker")
        | one_of("pot")
        | one_of("pot", pot_fs_root=PATHS, clone_from=TEXTS, pot_cmd=PATHS, pot_clone_args=st.lists(TEXTS, max_size=2)),
        "scheduler_auth": NO_AUTH | SHARED | one_of("jwt_token", token=JWTS),
    },
    optional={"bind_address": almost(*ADDRESSES), "toolchain_cache_size": SIZES},
)


@st.composite
def damaged(draw: st.DrawFn, documents: st.SearchStrategy[Document]) -> Document:
    """A document, perhaps with one key too many, too few, or with a value of another kind."""
    document = copy.deepcopy(draw(documents))
    table = draw(st.sampled_from([document, *(value for value in document.values() if isinstance(value, dict))]))
    name = draw(st.sampled_from([*table, "unknown"]))
    match draw(st.sampled_from(["whole", "whole", "without", "other"])):
        case "without":
            table.pop(name, None)
        case "other":
            # A URL that nobody can ask is refused by us alone, see ONLY_THE_PUBLISHED in test_configuration.
            text = () if name in ("url", "jwks_url") else ("x",)
            table[name] = draw(st.sampled_from([-1, 0, 7, True, 1.5, *text, (), ("x",)]))
    return document


NOISE = [
    *("[", "]", "{", "}", ",", "=", ":", "x", "[x]", "[builder]", "[[builder]]", "null", "//", '"', "'''"),
    *("x = 12:30", r'x = "\e"', r'x = "\xg0"', "x = {,}", "},"),
    *("x = 1", "builder.x = 1", "public_addr = 1", '"x": 1,', "# é"),
    *("\r", "\t", " ", "\x01", "\x0b", "# \x7f", "\u00a0", "\ud800"),
]
# What the published program tries last, after what it does not get past here.
_TRIED_LAST = ("server_auth.secret_key: ", "scheduler_auth.token: ")


def alike(role: str, file: Path) -> bool:
    """Whether we take a file as the published program does."""
    ours, theirs = refusal(role, file), published(role, file)
    if theirs is Verdict.UNTRIED:
        return ours is None or ours.startswith(_TRIED_LAST)
    return (ours is None) == (theirs is Verdict.TAKEN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


@hypothesis.settings(max_examples=300)
@given(
    described=st.tuples(st.just("scheduler"), damaged(SCHEDULERS)) | st.tuples(st.just("server"), damaged(SERVERS)),
    form=st.sampled_from(list(FORMS)),
    noise=st.none() | st.tuples(st.floats(0, 1), st.sampled_from(NOISE)),
)
def test_the_same_files_are_taken(
    folder: Path, described: tuple[str, Document], form: str, noise: tuple[float, str] | None
) -> None:
    """Whatever stands in a file, in TOML or JSON: we take it if the published program does, and only then."""
    role, document = described
    lines = FORMS[form](document).splitlines(keepends=True)
    if noise:
        lines.insert(1 + int(noise[0] * len(lines)), f"{noise[1]}\n")
    file = folder / form
    file.write_bytes("".join(lines).encode(errors="surrogatepass"))
    assert alike(role, file)
