"""What monitors say, and what strangers say to the port of monitors."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sccachedist.errors import DecodeError
from sccachedist.monitor.conversation import MOST_BYTES, MOST_MESSAGE, OPENING, Conversation
from sccachedist.monitor.messages import VERSION, LocalJobDone, MonitorLogin, encoded

LOGIN = encoded(MonitorLogin())
#: What icecream-sundae and icemon send, up to their login.
SUNDAE, ICEMON = (struct.pack("<II", version, VERSION) + LOGIN for version in (42, 43))


@pytest.mark.parametrize("monitor", [SUNDAE, ICEMON, OPENING + OPENING + LOGIN])
def test_login(monitor: bytes) -> None:
    """A monitor of any later version agrees to ours and logs in, however its bytes are cut."""
    whole = Conversation()
    assert (whole.received(monitor), whole.logged_in) == (OPENING, True)
    cut = Conversation()
    answers = [cut.received(bytes((each,))) for each in monitor]
    assert (b"".join(answers), cut.logged_in) == (OPENING, True)
    assert answers.index(OPENING) == 3  # as soon as its version is there


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("<I", VERSION - 1),
        struct.pack("<II", 43, 43),
        struct.pack("<II", 43, VERSION - 1),
        SUNDAE[:8] + b"\xff\xff\xff\xff",
        SUNDAE[:8] + struct.pack(">I", MOST_MESSAGE + 1),
        SUNDAE[:8] + struct.pack(">I", 0),
        SUNDAE[:8] + encoded(LocalJobDone(1)),
        SUNDAE + bytes(MOST_BYTES + 1),
    ],
)
def test_no_monitors(octets: bytes) -> None:
    """What is no monitor is told so at once."""
    with pytest.raises(DecodeError):
        Conversation().received(octets)


@pytest.mark.parametrize("end", range(len(SUNDAE)))
def test_a_part_of_a_login_is_none(end: int) -> None:
    """Half a version, or half a login, is neither good nor bad yet."""
    conversation = Conversation()
    conversation.received(SUNDAE[:end])
    assert not conversation.logged_in


def test_what_a_monitor_says_after_its_login() -> None:
    """It is ignored, and bounded for the whole connection."""
    conversation = Conversation()
    conversation.received(ICEMON)
    for _ in range(MOST_BYTES):
        assert conversation.received(b"x") == b""
    with pytest.raises(DecodeError):
        conversation.received(b"x")


@given(
    st.lists(st.sampled_from([SUNDAE[:4], OPENING, LOGIN, b"\0", b"\xff", LOGIN[:6], bytes(MOST_BYTES)])).map(b"".join)
)
@example(SUNDAE + LOGIN)
def test_where_bytes_are_cut_does_not_matter(octets: bytes) -> None:
    """Any bytes are a login or not, and an error or not, in whatever pieces they come; no error but ours."""
    assert heard([octets]) == heard([octets[at : at + 3] for at in range(0, len(octets), 3)])


def heard(pieces: list[bytes]) -> bool | None:
    """Whether a monitor has logged in; None if it is none."""
    conversation = Conversation()
    try:
        for piece in pieces:
            conversation.received(piece)
    except DecodeError:
        return None
    return conversation.logged_in
