"""Changes to the text of a clients' file: what people wrote in it stays, and what is meant is what is written."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

import attrs
import hypothesis
import pytest
import tomli
import tomlkit
from hypothesis import strategies as st

from sccachedist.cli.clients.edits import added, changed, moment, revoked, rotated
from sccachedist.config.clients import ClientClass, read_clients
from sccachedist.errors import ConfigError
from tests.support.forms import FORMS

NOW = datetime(2026, 11, 29, 23, 30, tzinfo=timezone(timedelta(hours=-3)))
LATER = NOW + timedelta(days=14, microseconds=7)
FIRST, SECOND, THIRD = (sha256(word).hexdigest() for word in (b"first", b"second", b"third"))
#: What people write: comments everywhere, several ways for one thing, tables in no order.
WRITTEN = f"""\
# The clients of the farm.

[bob]  # night builds
class = 'batch'
"max_slots"   =   1_2 # of 40

# ann's team
[ann]
weight = 2
tokens = [ {{ added = 2026-11-01, sha256 = "{FIRST}" }}, # laptop
  {{ "sha256" = '{SECOND}', until = 2027-01-15T00:00:00+01:00 }} ] # end of ann's

[[carl.tokens]] # by hand
sha256 = "{THIRD}"
# the rest
[_default]
weight = 0.5
"""


def refused(change: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as error:
        change()
    return str(error.value)


def test_a_first_client() -> None:
    """It is written as people write it and reads as it is meant; the day is that of UTC."""
    text = added("", "ann", {"weight": 2.0, "max_slots": 128, "class": "batch"}, FIRST, NOW)
    assert text == (
        '[ann]\nweight = 2.0\nmax_slots = 128\nclass = "batch"\ntokens = [\n'
        f'    {{sha256 = "{FIRST}", added = 2026-11-30}},\n]\n'
    )
    (client,) = read_clients(text.encode()).values()
    assert (client.weight, client.max_slots, client.class_) == (2, 128, ClientClass.BATCH)


def test_a_further_client() -> None:
    """All that was there stays as it was."""
    text = added(WRITTEN, "dora.2", {}, "0c" * 32, NOW)
    assert text.startswith(f'{WRITTEN}\n["dora.2"]\ntokens = [')
    assert list(read_clients(text.encode())) == ["bob", "ann", "carl", "_default", "dora.2"]


def test_a_client_without_a_token() -> None:
    """One whose share was written by hand, or who has lost all tokens, gets one; what is given again replaces."""
    text = added(WRITTEN, "bob", {"max_slots": 20}, "0c" * 32, NOW)
    assert "[bob]  # night builds\nclass = 'batch'\n\"max_slots\"   =   20 # of 40\n" in text
    assert read_clients(text.encode())["bob"].tokens[0].sha256 == "0c" * 32


def test_a_client_that_has_a_token() -> None:
    """It is not added: its token is exchanged by another command."""
    assert refused(lambda: added(WRITTEN, "ann", {}, "0c" * 32, NOW)).startswith("ann has a token already: client rot")


def test_another_share() -> None:
    """Keys change in their places, and what is to go goes; comments stay."""
    text = changed(WRITTEN, "bob", {"weight": 3, "max_slots": None, "class": "interactive"})
    assert text.startswith('# The clients of the farm.\n\n[bob]  # night builds\nclass = "interactive"\nweight = 3\n\n')
    bob = read_clients(text.encode())["bob"]
    assert (bob.weight, bob.max_slots, bob.class_) == (3, None, ClientClass.INTERACTIVE)
    assert text.endswith(WRITTEN.partition("# ann's team")[2])
    assert changed(WRITTEN, "ann", {"max_slots": None}) == WRITTEN


def test_comments_above_other_clients() -> None:
    """They stay where they are, whatever becomes of the client before."""
    for name in ("bob", "ann", "carl"):
        lost = revoked(WRITTEN, name)[0] if name != "bob" else WRITTEN
        for text in (
            lost,
            added(lost, name, {"weight": 3}, "0c" * 32, NOW),
            rotated(WRITTEN, name, "0c" * 32, NOW, LATER),
            changed(WRITTEN, name, {"weight": 3}),
        ):
            assert "\n# ann's team\n[ann]\n" in text
            assert "\n# the rest\n[_default]\n" in text


def test_the_share_of_those_without_a_name() -> None:
    """Their table is made if there is none; that of a client is not."""
    assert changed("[ann]\n", "_default", {"weight": 0.5}) == "[ann]\n\n[_default]\nweight = 0.5\n"
    assert read_clients(changed(WRITTEN, "_default", {"max_slots": 9}).encode())["_default"].max_slots == 9
    assert refused(lambda: changed(WRITTEN, "dora", {"weight": 2})) == "there is no client dora: client add makes one"


def test_rotation() -> None:
    """Tokens end, unless they do so earlier, and another one is there."""
    text = rotated(WRITTEN, "ann", "0c" * 32, NOW, LATER)
    assert f'{{ added = 2026-11-01, sha256 = "{FIRST}", until = 2026-12-14T02:30:00Z}}, # laptop\n' in text
    assert [(token["sha256"], token.get("until")) for token in tomli.loads(text)["ann"]["tokens"]] == [
        (FIRST, datetime(2026, 12, 14, 2, 30, tzinfo=UTC)),
        (SECOND, datetime(2026, 12, 14, 2, 30, tzinfo=UTC)),
        ("0c" * 32, None),
    ]
    assert tomli.loads(rotated(text, "ann", "0d" * 32, NOW, LATER + timedelta(9)))["ann"]["tokens"][0]["until"] == (
        datetime(2026, 12, 14, 2, 30, tzinfo=UTC)
    )


def test_rotation_of_tables() -> None:
    """Tokens that are tables of their own stay so."""
    text = rotated(WRITTEN, "carl", "0c" * 32, NOW, LATER)
    assert f'[[carl.tokens]] # by hand\nsha256 = "{THIRD}"\n' in text
    assert text.count("[[carl.tokens]]") == 2


def test_revocation() -> None:
    """Of one token, or of all; the client's share and the comments stay."""
    text, lost = revoked(WRITTEN, "ann", SECOND[:6])
    assert (lost, FIRST in text, SECOND in text, "# end of ann's" in text) == ([SECOND], True, False, True)
    text, lost = revoked(WRITTEN, "ann")
    assert lost == [FIRST, SECOND]
    assert read_clients(text.encode())["ann"].weight == 2
    assert "# ann's team\n[ann]\nweight = 2\n" in text
    text, lost = revoked(WRITTEN, "carl")
    assert (lost, read_clients(text.encode())["carl"].tokens) == ([THIRD], ())


def test_what_is_not_there() -> None:
    """Nothing is changed where nothing is meant, or several things are."""
    assert refused(lambda: rotated(WRITTEN, "dora", FIRST, NOW, LATER)) == (
        "there is no client dora: client add makes one"
    )
    assert refused(lambda: revoked(WRITTEN, "bob")) == "bob has no token"
    assert refused(lambda: revoked(WRITTEN, "ann", "0c0c0c")) == "ann has no token whose SHA-256 begins with 0c0c0c"
    both = f'[ann]\ntokens = [{{ sha256 = "{"AB" * 32}" }}, {{ sha256 = "{"ab" * 31}cd" }}]'
    assert refused(lambda: revoked(both, "ann", "ababab")) == (
        "the SHA-256 of 2 tokens of ann begins with ababab: give more of it"
    )


def test_what_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the library that keeps comments reads something else than a scheduler, or nothing, the file stays as it is."""
    monkeypatch.setattr(tomlkit, "dumps", lambda document: "[ann]\n")
    assert "change it by hand" in refused(lambda: added(WRITTEN, "dora", {}, FIRST, NOW))
    monkeypatch.setattr(tomlkit, "parse", tomli.loads)
    monkeypatch.setattr(tomlkit, "nl", lambda: 1 / 0)
    monkeypatch.setattr(tomlkit, "dumps", lambda document: document["ann"]["lacks"])
    assert "change it by hand" in refused(lambda: revoked(WRITTEN, "ann"))


@pytest.mark.parametrize("written", [date(2026, 11, 29), datetime(2026, 11, 29), datetime(2026, 11, 29, tzinfo=UTC)])
def test_moments(written: date) -> None:
    """A day is its first second, and a time without a zone is of UTC: as a scheduler reads it."""
    text = f'[ann]\ntokens = [{{ sha256 = "{FIRST}", until = {written.isoformat()} }}]'
    assert read_clients(text.encode())["ann"].tokens[0].until == moment(written).timestamp()


NAMES = st.sampled_from(["ann", "bob", "b.c", "d-2", "E_e"])
COUNTS = st.none() | st.integers(0, 3)
DOCUMENTS = st.dictionaries(NAMES, st.tuples(st.none() | st.integers(1, 9), COUNTS), max_size=4)
STEPS = st.lists(st.tuples(st.sampled_from(["add", "set", "rotate", "revoke", "one"]), NAMES), max_size=6)


def digests() -> Iterator[str]:
    """Digests, each another."""
    return (sha256(bytes([number])).hexdigest() for number in itertools.count())


def written(clients: dict[str, tuple[int | None, int | None]], new: Iterator[str]) -> dict[str, Any]:
    """Clients with a weight or none, and so many tokens or no word of any."""
    shares = {name: {} if weight is None else {"weight": weight} for name, (weight, _) in clients.items()}
    counts = {name: count for name, (_, count) in clients.items() if count is not None}
    lists = {name: {"tokens": [{"sha256": next(new)} for _ in range(count)]} for name, count in counts.items()}
    return {name: share | lists.get(name, {}) for name, share in shares.items()}


@hypothesis.given(DOCUMENTS, STEPS, st.sampled_from(["one.toml", "two.toml", "three.toml", "windows.conf"]))
@hypothesis.settings(max_examples=40)
def test_any_file(clients: dict[str, tuple[int | None, int | None]], steps: list[tuple[str, str]], form: str) -> None:
    """Whatever is done to a file, in whichever form: what a scheduler reads is what is meant, and comments stay."""
    new = digests()
    text = FORMS[form](written(clients, new))
    if not text.startswith("\ufeff"):
        text = f"# head\n{text}# foot"
    for step, name in steps:
        digest = next(new)
        before = read_clients(text.encode())
        tokens = before[name].tokens if name in before else ()
        try:
            if step == "add":
                text = added(text, name, {"weight": 3}, digest, NOW)
            elif step == "set":
                text = changed(text, name, {"weight": None, "max_slots": 2})
            elif step == "rotate":
                text = rotated(text, name, digest, NOW, LATER)
            else:
                text, _ = revoked(text, name, tokens[0].sha256 if step == "one" and tokens else "")
        except ConfigError as error:
            said = str(error)
            assert ("a token already" in said) if step == "add" else ("no client" in said or "no token" in said)
            assert (step == "add") == bool(tokens)
            continue
        after = read_clients(text.encode())
        assert {other: client for other, client in after.items() if other != name} == {
            other: client for other, client in before.items() if other != name
        }
        left = [token.sha256 for token in after[name].tokens]
        gone = {"add": [], "rotate": [], "one": [tokens[0].sha256] if tokens else []}
        if step == "set":
            assert after[name] == attrs.evolve(before[name], weight=1.0, max_slots=2)
        elif step == "revoke":
            assert left == []
        else:
            kept = [token.sha256 for token in tokens if token.sha256 not in gone[step]]
            assert left == kept + [digest] * (step in ("add", "rotate"))
    if "# head" in text:
        assert "# foot" in text
