"""The tar reader takes what real packers write and believes nothing else."""

import contextlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.errors import DecodeError
from sccachedist.sandbox.archive.tar import Member, MemberKind, read_archive
from tests.sandbox.archives import file, member, octal, padded, pax, raw_header, tar


def read(data: bytes) -> list[tuple[Member, bytes]]:
    return [(found, b"".join(content)) for found, content in read_archive(io.BytesIO(data))]


def names(data: bytes) -> list[bytes]:
    return [found.name for found, _ in read(data)]


LONG = "/".join(["directory"] * 40) + "/file"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_come_out_as_they_went_in(form: int) -> None:
    """Every format gives names, kinds, modes, times, targets and contents back."""
    data = tar(
        member("d", tarfile.DIRTYPE, mode=0o755),
        file("d/f", b"content" * 100, 0o4755),
        member("d/s", tarfile.SYMTYPE, "../elsewhere"),
        member("d/h", tarfile.LNKTYPE, "d/f"),
        form=form,
    )
    assert [(m.name, m.kind, m.link, content) for m, content in read(data)] == [
        (b"d/", MemberKind.DIRECTORY, b"", b""),
        (b"d/f", MemberKind.FILE, b"", b"content" * 100),
        (b"d/s", MemberKind.SYMLINK, b"../elsewhere", b""),
        (b"d/h", MemberKind.HARD_LINK, b"d/f", b""),
    ]
    assert (read(data)[1][0].mode, read(data)[1][0].mtime) == (0o4755, 1_000_000_000)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_links(form: int) -> None:
    """Names and targets beyond a header's room arrive whole, and only for their own member."""
    data = tar(file(LONG, b"x"), member("s", tarfile.SYMTYPE, LONG), file("short", b"y"), form=form)
    assert [(m.name, m.link) for m, _ in read(data)] == [(LONG.encode(), b""), (b"s", LONG.encode()), (b"short", b"")]


def test_the_prefix_of_ustar() -> None:
    """A ustar name may stand in two parts; what GNU keeps in that place is no name."""
    assert names(raw_header(prefix=b"some/where")) == [b"some/where/name"]
    assert names(raw_header(prefix=b"12345", magic=b"ustar  \0")) == [b"name"]


def test_names_need_not_be_utf8() -> None:
    """A name is bytes."""
    assert names(raw_header(b"caf\xe9")) == [b"caf\xe9"]


def test_pax_size_and_global_headers() -> None:
    """A PAX size rules over the header's; a global header holds for all that follow, a member's own rules over it."""
    size, everywhere = pax(size="3"), pax(linkpath="everywhere")
    data = (
        raw_header(kind=b"g", size=octal(len(everywhere)))
        + padded(everywhere)
        + raw_header(kind=b"x", size=octal(len(size)))
        + padded(size)
        + raw_header(size=octal(0))
        + padded(b"abc")
        + raw_header(b"link", kind=b"2")
    )
    assert [(m.name, m.link, content) for m, content in read(data)] == [
        (b"name", b"", b"abc"),
        (b"link", b"everywhere", b""),
    ]


def test_pax_keys_that_change_nothing() -> None:
    """Times, owners and whatever else a header may tell are passed over."""
    told = pax(mtime="1.5", path="real")
    data = raw_header(kind=b"x", size=octal(len(told))) + padded(told) + raw_header()
    assert [found.name for found, _ in read(data)] == [b"real"]


def test_directories_as_v7_wrote_them() -> None:
    """A file whose name ends with a slash is a directory."""
    assert [found.kind for found, _ in read(raw_header(b"usr/"))] == [MemberKind.DIRECTORY]


def test_base_256_sizes() -> None:
    """GNU writes what octal cannot hold in base 256."""
    assert read(raw_header(size=b"\x80" + bytes(9) + b"\x00\x03") + padded(b"abc"))[0][1] == b"abc"


def test_what_stands_behind_the_end_is_not_read() -> None:
    """Two blocks of zeros end the archive."""
    assert names(raw_header() + bytes(1024) + raw_header(b"hidden")) == [b"name"]


def test_content_that_was_not_read_is_skipped() -> None:
    """The next member is found without reading the one before."""
    data = tar(file("a", b"x" * 5000), file("b", b""))
    assert [found.name for found, _ in read_archive(io.BytesIO(data))] == [b"a", b"b"]


DAMAGED = {
    "cut off in a header": raw_header()[:100],
    "cut off in content": raw_header(size=octal(10)) + b"123",
    "cut off in the padding": raw_header(size=octal(10)) + b"1234567890",
    "a wrong checksum": b"x" + raw_header()[1:],
    "a lone block of zeros": bytes(512) + raw_header(),
    "a negative size": raw_header(size=b"\xff" * 12),
    "a size beyond 63 bits": raw_header(size=b"\x80\x00\x00\x00\xff" + bytes(7)),
    "a size that is not octal": raw_header(size=b"-0000000001\0"),
    "a negative PAX size": raw_header(kind=b"x", size=octal(len(pax(size="-1"))))
    + padded(pax(size="-1"))
    + raw_header(),
    "a huge PAX size": raw_header(kind=b"x", size=octal(30)) + padded(b"30 size=" + b"9" * 21 + b"\n") + raw_header(),
    "a PAX record longer than its header": raw_header(kind=b"x", size=octal(9)) + padded(b"99 path=a") + raw_header(),
    "a PAX record without a length": raw_header(kind=b"x", size=octal(7)) + padded(b"path=a\n") + raw_header(),
    "a PAX header of gigabytes": raw_header(kind=b"x", size=octal(2**32)),
    "a long name of gigabytes": raw_header(kind=b"L", size=octal(2**32)),
    "an unknown type": raw_header(kind=b"Z"),
    "no name": raw_header(b""),
    "a name with NUL": raw_header(kind=b"x", size=octal(11)) + padded(b"11 path=a\0\n") + raw_header(),
    "a link with NUL": raw_header(kind=b"x", size=octal(15)) + padded(b"15 linkpath=a\0\n") + raw_header(kind=b"2"),
    "a link to nowhere": raw_header(kind=b"2"),
    "the end behind an extended header": raw_header(kind=b"L", size=octal(2)) + padded(b"a\0"),
}


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"L", b"a" * (1 << 16) + b"\0"),
        (b"K", b"a" * (1 << 16) + b"\0"),
        (b"x", b"1048600 comment=".ljust(1048599, b"a") + b"\n"),
    ],
)
def test_large_extended_headers(kind: bytes, content: bytes) -> None:
    """They stand in memory as a whole, so a large one is refused though all of it is there."""
    data = raw_header(kind=kind, size=octal(len(content))) + padded(content) + raw_header()
    with pytest.raises(DecodeError, match="too large"):
        read(data)


@pytest.mark.parametrize("what", DAMAGED)
def test_damage_is_an_error(what: str) -> None:
    """What cannot be unpacked faithfully is refused, never guessed at."""
    with pytest.raises(DecodeError):
        read(DAMAGED[what])


@given(st.binary(max_size=2000), st.integers(0, 20 * 512), st.booleans())
def test_any_bytes_are_members_or_our_error(noise: bytes, at: int, insert: bool) -> None:
    """Whatever is thrown at it, or into an honest archive, nothing but our decode error comes out."""
    honest = tar(file(LONG, b"x" * 700), member("s", tarfile.SYMTYPE, LONG), form=tarfile.PAX_FORMAT)
    for data in (noise, honest[:at] + noise + honest[at if insert else at + len(noise) :], honest[:at]):
        with contextlib.suppress(DecodeError):
            read(data)


@pytest.mark.parametrize(
    ("name", "size", "becomes"),
    [
        (b"/tmp/source.c", 3, MemberKind.FILE),  # a client has read its source from a device
        (b"/tmp/source.c", 0, MemberKind.NOTHING),
        (b"/dev/null", 3, MemberKind.NOTHING),
        (b"./proc/self/fd/0", 3, MemberKind.NOTHING),
    ],
)
def test_special_files(name: bytes, size: int, becomes: MemberKind) -> None:
    """No device, FIFO or socket is made of an archive: what has content becomes a file, where that may be."""
    for kind in (b"3", b"4", b"6"):
        ((member, content),) = read(raw_header(name, kind=kind, size=octal(size)) + padded(b"abc"[:size]))
        assert (member.kind, member.size, content) == (becomes, size, b"abc"[:size])
