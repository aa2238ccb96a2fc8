"""The bytes of monitors' messages, as icemon and icecream-sundae understand them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.errors import DecodeError
from sccachedist.monitor.messages import (
    MOST_NUMBER,
    NUMBERS,
    HostTold,
    JobAsked,
    JobBegan,
    JobDone,
    LocalJobBegan,
    LocalJobDone,
    MonitorLogin,
    MonitorMessage,
    decoded,
    encoded,
)

HOST = "Name:a\nIP:10.0.0.1\n"
#: Each was taken in by both programs, or sent by them (the login).
TABLE: tuple[tuple[MonitorMessage, str], ...] = (
    (MonitorLogin(), "00000004 00000052"),
    (JobAsked("a.c", 1, 3, 2), "00000018 00000053 00000004 612e6300 00000001 00000003 00000002"),
    (JobBegan(3, 1_700_000_000, 1), "00000010 00000054 00000003 6553f100 00000001"),
    (
        JobDone(3, 1, 300, 200, 10, 0, 1000, 2000, 500, 700, 0),
        "00000030 00000055 00000003 00000001 0000012c 000000c8 0000000a 00000000 000003e8 000007d0 000001f4 000002bc "
        "00000000",
    ),
    (LocalJobBegan(2, 9, 7, "b"), "00000016 00000056 00000002 00000009 00000007 00000002 6200"),
    (LocalJobDone(9), "00000008 0000004f 00000009"),
    (HostTold(1, HOST), "00000020 00000057 00000001 00000014" + f"{HOST.encode().hex()}00"),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(("message", "octets"), TABLE, ids=lambda value: type(value).__name__)
def test_table(message: MonitorMessage, octets: str) -> None:
    """Each message has these bytes, and is read from them; not from fewer, nor from more."""
    whole = bytes.fromhex(octets)
    assert encoded(message) == whole
    body = whole[4:]
    assert decoded(body) == message
    for end in range(len(body)):
        with pytest.raises(DecodeError):
            decoded(body[:end])
    with pytest.raises(DecodeError):
        decoded(body + b"\0")


def test_the_table_is_whole() -> None:
    """No message is missing in it."""
    assert {type(message) for message, _ in TABLE} == set(NUMBERS)


@pytest.mark.parametrize(("number", "told"), [(-1, 0), (2**32, MOST_NUMBER), (2**64, MOST_NUMBER)])
def test_numbers_that_do_not_fit(number: int, told: int) -> None:
    """They become the nearest that does."""
    assert decoded(encoded(LocalJobDone(number))[4:]) == LocalJobDone(told)


@pytest.mark.parametrize(
    "octets",
    [
        "00000001",
        "00000058",
        "ffffffff",
        "00000056 00000002 00000009 00000007 00000002 6262",
        "00000056 00000002 00000009 00000007 00000002 ff00",
        "00000056 00000002 00000009 00000007 00000000",
    ],
)
def test_no_messages(octets: str) -> None:
    """What is none of them, or has a text that is none, is the peer's fault."""
    with pytest.raises(DecodeError):
        decoded(bytes.fromhex(octets))


@given(st.builds(LocalJobBegan, st.integers(0, MOST_NUMBER), st.just(1), st.just(2), TEXT))
def test_what_is_written_can_be_read(message: LocalJobBegan) -> None:
    """Whatever the text."""
    assert decoded(encoded(message)[4:]) == message


@given(st.text())
def test_any_text_can_be_written(text: str) -> None:
    """Also one that is no UTF-8."""
    assert isinstance(decoded(encoded(HostTold(1, text))[4:]), HostTold)


@given(st.binary(max_size=100))
def test_any_bytes_can_be_read(octets: bytes) -> None:
    """They are a message, or the peer's fault."""
    try:
        decoded(octets)
    except DecodeError:
        return
