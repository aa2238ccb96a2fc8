"""Archives that attackers and odd packers make, each with what has to become of it.

A case is a stream of tar, and either ``REFUSED`` or all that is below the root afterwards, by name: a file's content,
a symlink's target behind ``->``, a directory as a name that ends in ``/``.
"""

import tarfile
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from tests.sandbox.archives import file, member, octal, padded, pax, raw_header, tar

REFUSED = None
Picture: TypeAlias = Mapping[bytes, bytes]
Case: TypeAlias = tuple[bytes, Picture | None]

_DIRECTORY, _SYMLINK, _HARD_LINK = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
_BLOCK = 512
_HUGE = b"\x80" + (2**62).to_bytes(11, "big")


def _long_name(name: bytes, kind: bytes = b"L") -> bytes:
    return raw_header(b"././@LongLink", kind, octal(len(name) + 1)) + padded(name + b"\0")


def _pax(records: bytes, kind: bytes = b"x") -> bytes:
    return raw_header(b"PaxHeader", kind, octal(len(records))) + padded(records)


def _plain(content: bytes = b"abc", name: bytes = b"name") -> bytes:
    return raw_header(name, size=octal(len(content))) + padded(content)


def _linked(name: bytes, kind: bytes, target: bytes) -> bytes:
    return _long_name(target, b"K") + raw_header(name, kind)


_NAMES: dict[str, Case] = {
    "an absolute name": (_plain(name=b"/etc/passwd"), {b"etc/": b"", b"etc/passwd": b"abc"}),
    "an absolute name with many slashes": (_plain(name=b"///etc//./x"), {b"etc/": b"", b"etc/x": b"abc"}),
    "an absolute directory": (raw_header(b"/etc/", b"5"), {b"etc/": b""}),
    "the root itself": (raw_header(b"./", b"5") + raw_header(b"/", b"5"), {}),
    "a file that is the root": (raw_header(b"/") + raw_header(b"."), REFUSED),
    "no name": (raw_header(b""), REFUSED),
    "a name that is only NUL in a PAX header": (_pax(pax(path="a\0b")) + raw_header(), REFUSED),
    "a name that is not UTF-8": (_plain(name=b"\xff\xfe/\xc3("), {b"\xff\xfe/": b"", b"\xff\xfe/\xc3(": b"abc"}),
    "a name with newlines and escapes": (_plain(name=b"a\n\x1b[2J"), {b"a\n\x1b[2J": b"abc"}),
    "a long name": (
        _long_name(b"n" * 200) + _plain(),
        {b"n" * 200: b"abc"},
    ),
    "a long name that climbs": (_long_name(b"a/" * 90 + b"../" * 91 + b"x") + _plain(), REFUSED),
    "an extended header of a long name alone": (_long_name(b"n" * 200), REFUSED),
    "a long name of 1 GiB": (raw_header(b"././@LongLink", b"L", octal(2**30)) + bytes(_BLOCK), REFUSED),
    "a component of 256 bytes": (_long_name(b"n" * 256) + _plain(), REFUSED),
    "a prefix that climbs": (raw_header(b"x", prefix=b"../.."), REFUSED),
    "a prefix before an absolute name": (raw_header(b"/x", prefix=b"/a"), {b"a/": b"", b"a/x": b""}),
}

_SIZES: dict[str, Case] = {
    "a negative size": (raw_header(size=b"\xff" * 12), REFUSED),
    "a negative size in octal": (raw_header(size=b"-0000000001\0"), REFUSED),
    "the smallest size": (raw_header(size=b"\x80" + b"\x80" + bytes(10)), REFUSED),
    "the largest octal size": (raw_header(size=b"777777777777") + bytes(_BLOCK), REFUSED),
    "a size of 2^62": (raw_header(size=_HUGE) + bytes(_BLOCK), REFUSED),
    "a size that is no number": (raw_header(size=b"0x000000010\0"), REFUSED),
    "a size with a digit 8": (raw_header(size=b"00000000008\0"), REFUSED),
    "a size in blanks": (raw_header(size=b"         3 \0") + padded(b"abc"), {b"name": b"abc"}),
    "a size in base 256": (raw_header(size=b"\x80" + bytes(10) + b"\x03") + padded(b"abc"), {b"name": b"abc"}),
    "a symlink with a size": (
        raw_header(b"a", b"2", octal(_BLOCK), mode=b"0000777\0") + _plain(name=b"hidden"),
        REFUSED,
    ),
    "a directory with a size": (raw_header(b"d", b"5", octal(3)) + padded(b"abc"), REFUSED),
    "a mode that is no number": (raw_header(mode=b"rwxrwxr\0"), REFUSED),
    "a time before 1970": (raw_header(mtime=b"\xff" * 12), {b"name": b""}),
    "a time after the sun": (raw_header(mtime=_HUGE), {b"name": b""}),
}

_PAX: dict[str, Case] = {
    "PAX overrides the size": (_pax(pax(size="3")) + raw_header() + padded(b"abc"), {b"name": b"abc"}),
    "PAX makes the size smaller": (_pax(pax(size="0")) + raw_header(size=octal(3)) + _plain(), {b"name": b"abc"}),
    "PAX with a negative size": (_pax(pax(size="-1")) + raw_header(), REFUSED),
    "PAX with a size of 20 digits": (_pax(pax(size="9" * 20)) + raw_header(), REFUSED),
    "PAX with a size of 2^63": (_pax(pax(size=str(2**63))) + raw_header(), REFUSED),
    "PAX overrides the name": (_pax(pax(path="other/x")) + _plain(), {b"other/": b"", b"other/x": b"abc"}),
    "PAX makes the name climb": (_pax(pax(path="a/../../x")) + _plain(), REFUSED),
    "PAX makes the name absolute": (_pax(pax(path="/x")) + _plain(), {b"x": b"abc"}),
    "PAX makes the name empty": (_pax(pax(path="")) + _plain(), {b"name": b"abc"}),
    "PAX makes a hard link climb": (_pax(pax(linkpath="../secret")) + raw_header(b"a", b"1"), REFUSED),
    "PAX for all that follow": (_pax(pax(path="x"), b"g") + _plain(b"1", b"a") + _plain(b"2", b"b"), {b"x": b"2"}),
    "PAX for all that climbs": (_pax(pax(path="../x"), b"g") + _plain(), REFUSED),
    "PAX for one does not stay": (
        _pax(pax(path="x")) + _plain(b"1", b"a") + _plain(b"2", b"b"),
        {b"x": b"1", b"b": b"2"},
    ),
    "PAX for one wins over that for all": (
        _pax(pax(path="x"), b"g") + _pax(pax(path="y")) + _plain(),
        {b"y": b"abc"},
    ),
    "PAX with a record of no length": (_pax(b"0 path=x\n") + raw_header(), REFUSED),
    "PAX with a record too long": (_pax(b"99 path=x\n") + raw_header(), REFUSED),
    "PAX with a record too short": (_pax(b"5 path=x\n") + raw_header(), REFUSED),
    "PAX without a newline": (_pax(b"9 path=xy") + raw_header(), REFUSED),
    "PAX without a value": (_pax(b"7 path\n") + raw_header(), REFUSED),
    "PAX with a length of a thousand digits": (_pax(b"1" * 1000 + b" path=x\n") + raw_header(), REFUSED),
    "PAX of 1 GiB": (raw_header(b"x", b"x", octal(2**30)) + bytes(_BLOCK), REFUSED),
    "PAX at the end": (_plain() + _pax(pax(path="x")), REFUSED),
    "PAX attributes": (
        _pax(pax(SCHILY__xattr__security__capability="x", mtime="9e99", uid="-1")) + _plain(),
        {b"name": b"abc"},
    ),
    "a sparse PAX member without a map": (
        _pax(pax(GNU__sparse__major="1", GNU__sparse__realsize="9")) + _plain(),
        REFUSED,
    ),
    "a sparse member of GNU without a map": (raw_header(b"s", b"S", octal(3)) + padded(b"abc"), REFUSED),
    "a sparse member that climbs": (
        _pax(pax(GNU__sparse__name="../x", GNU__sparse__size="3", GNU__sparse__map="0,3")) + _plain(),
        REFUSED,
    ),
}

_SOURCE: Picture = {b"home/": b"", b"home/dev/": b"", b"home/dev/x.c": b"abc"}
_NOTHING: Picture = {}

_KINDS: dict[str, Case] = {
    "a file as V7 wrote it": (raw_header(b"f", b"\0"), {b"f": b""}),
    "a directory as V7 wrote it": (raw_header(b"d/", b"\0"), {b"d/": b""}),
    "a contiguous file": (raw_header(b"f", b"7"), {b"f": b""}),
    "a directory with a list of what was in it": (
        raw_header(b"d/", b"D", octal(3)) + padded(b"abc") + _plain(),
        {b"d/": b"", b"name": b"abc"},
    ),
    "the label of a volume": (raw_header(b"../label", b"V") + _plain(), {b"name": b"abc"}),
}
for _kind in (b"8", b"9", b"A", b"I", b"M", b"N", b"X", b"Z", b"\xff"):
    _KINDS[f"a member of type {_kind!r}"] = raw_header(b"dev/x", _kind), REFUSED
for _kind in (b"3", b"4", b"6", b" "):
    _KINDS[f"a special file of type {_kind!r}"] = raw_header(b"x", _kind), _NOTHING
    _KINDS[f"one of type {_kind!r} that a sandbox has"] = (
        raw_header(b"./dev/null", _kind, octal(3)) + padded(b"abc"),
        _NOTHING,
    )
    _KINDS[f"the text of one of type {_kind!r}"] = (
        raw_header(b"home/dev/x.c", _kind, octal(3)) + padded(b"abc"),
        _SOURCE,
    )

_LINKS: dict[str, Case] = {
    "a symlink to nothing": (raw_header(b"a", b"2"), REFUSED),
    "a symlink that is written through": (
        tar(member("a", _SYMLINK, "../../.."), file("a/x", b"abc")),
        {b"a": b"-> ../../..", b"x": b"abc"},
    ),
    "an absolute symlink that is written through": (
        tar(member("a", _SYMLINK, "/etc"), file("a/x", b"abc")),
        {b"a": b"-> /etc", b"etc/": b"", b"etc/x": b"abc"},
    ),
    "links to links to links": (
        tar(*(member(f"l{n}", _SYMLINK, f"l{n + 1}") for n in range(39)), file("l0/x", b"abc")),
        {**{b"l%d" % n: b"-> l%d" % (n + 1) for n in range(39)}, b"l39/": b"", b"l39/x": b"abc"},
    ),
    "too many links to links": (
        tar(*(member(f"l{n}", _SYMLINK, f"l{n + 1}") for n in range(60)), file("l0/x", b"")),
        REFUSED,
    ),
    "a link to itself": (tar(member("a", _SYMLINK, "a"), file("a/x", b"")), REFUSED),
    "a symlink with a target too long": (_linked(b"a", b"2", b"t" * 5000), REFUSED),
    "a hard link to the outside": (tar(member("a", _HARD_LINK, "../secret")), REFUSED),
    "a hard link to the outside, absolute": (tar(member("a", _HARD_LINK, "/etc/passwd")), REFUSED),
    "a hard link out through a symlink": (
        tar(member("d", _SYMLINK, "../.."), member("a", _HARD_LINK, "d/secret")),
        REFUSED,
    ),
    "a hard link to a symlink": (
        tar(member("s", _SYMLINK, "../secret"), member("h", _HARD_LINK, "s")),
        {b"s": b"-> ../secret", b"h": b"-> ../secret"},
    ),
    "a hard link to a symlink, written": (
        tar(member("s", _SYMLINK, "../secret"), member("h", _HARD_LINK, "s"), file("h", b"abc")),
        {b"s": b"-> ../secret", b"h": b"abc"},
    ),
    "a hard link to what comes later": (tar(member("h", _HARD_LINK, "f"), file("f", b"")), REFUSED),
    "a hard link to a directory": (tar(member("d", _DIRECTORY), member("h", _HARD_LINK, "d")), REFUSED),
    "a hard link to the root": (tar(member("h", _HARD_LINK, "/")), REFUSED),
    "a hard link to itself": (tar(file("f", b"abc"), member("f", _HARD_LINK, "f")), REFUSED),
    "a hard link below a file": (tar(file("f", b"abc"), member("f/g", _HARD_LINK, "f")), REFUSED),
}

_AGAIN: dict[str, Case] = {
    "a file twice": (tar(file("f", b"1"), file("f", b"2")), {b"f": b"2"}),
    "a file that a hard link shares, again": (
        tar(file("f", b"1"), member("h", _HARD_LINK, "f"), file("f", b"2")),
        {b"f": b"2", b"h": b"1"},
    ),
    "a directory twice": (
        tar(member("d", _DIRECTORY), file("d/f", b"1"), member("d", _DIRECTORY)),
        {b"d/": b"", b"d/f": b"1"},
    ),
    "a directory in the place of a file": (tar(file("f", b"1"), member("f", _DIRECTORY)), REFUSED),
    "a file in the place of a directory": (tar(member("d", _DIRECTORY), file("d", b"1")), {b"d": b"1"}),
    "a file in the place of a full directory": (tar(file("d/f", b"1"), file("d", b"1")), REFUSED),
    "a directory replaced by a symlink between two entries": (
        tar(member("d", _DIRECTORY), member("d", _SYMLINK, "../.."), file("d/secret", b"abc")),
        {b"d": b"-> ../..", b"secret": b"abc"},
    ),
    "a full directory replaced by a symlink": (
        tar(file("d/f", b"1"), member("d", _SYMLINK, "../.."), file("d/secret", b"abc")),
        REFUSED,
    ),
    "a directory in the place of a symlink to one": (
        tar(member("d", _SYMLINK, "e"), member("d", _DIRECTORY), file("d/f", b"1")),
        {b"d": b"-> e", b"e/": b"", b"e/f": b"1"},
    ),
    "a symlink in the place of a file": (tar(file("f", b"1"), member("f", _SYMLINK, "x")), {b"f": b"-> x"}),
}

_DEPTHS: dict[str, Case] = {
    "a name of 4096 directories": (_long_name(b"d/" * 4096 + b"f") + _plain(), REFUSED),
    "a name as long as may be": (_long_name(b"./" * 2046 + b"f") + _plain(), {b"f": b"abc"}),
    "a name that is longer": (_long_name(b"./" * 2047 + b"ff") + _plain(), REFUSED),
}

_ENDS: dict[str, Case] = {
    "nothing": (b"", {}),
    "only an end": (bytes(2 * _BLOCK), {}),
    "no end": (_plain(), {b"name": b"abc"}),
    "a lone block of zeros, then more": (bytes(_BLOCK) + _plain(), REFUSED),
    "garbage behind the end": (_plain() + bytes(2 * _BLOCK) + b"\xff" * 3000, {b"name": b"abc"}),
    "an archive behind the end": (_plain() + bytes(2 * _BLOCK) + _plain(name=b"../x"), {b"name": b"abc"}),
    "garbage in the place of a header": (_plain() + b"\xff" * _BLOCK, REFUSED),
    "cut off in a header": (_plain() + raw_header()[:300], REFUSED),
    "cut off in the content": (raw_header(size=octal(2000)) + bytes(1000), REFUSED),
    "cut off in the padding": (raw_header(size=octal(3)) + b"abc", REFUSED),
    "cut off in a long name": (_long_name(b"n" * 2000)[:1000], REFUSED),
    "a checksum that does not match": (raw_header().replace(b"name", b"nome"), REFUSED),
}


def _dots() -> Iterator[tuple[str, Case]]:
    """``..`` in every position of a name of three parts, for every kind of member and as a hard link's target."""
    climbing = ("../b/c", "../../c", "a/../../c", "../..", "..", "a/../..", "a/b/../../../c", "/../b", "./../b")
    for name in climbing:
        for kind in (b"0", b"1", b"2", b"5"):
            header = bytearray(raw_header(name.encode(), kind))
            if kind in b"12":
                header = bytearray(_linked(name.encode(), kind, b"target"))
            yield f"{name} as a member of type {kind!r}", (_plain(name=b"target") + bytes(header), REFUSED)
        yield f"{name} as a hard link's target", (tar(member("h", _HARD_LINK, name)), REFUSED)
    for name in ("a/b/..", "a/.."):
        yield f"{name} as a file", (_plain(name=name.encode()), REFUSED)
    yield "a/../c stays inside", (_plain(name=b"a/../c"), {b"a/": b"", b"c": b"abc"})
    yield "a/b/../c stays inside", (_plain(name=b"a/b/../c"), {b"a/": b"", b"a/b/": b"", b"a/c": b"abc"})


CASES: dict[str, Case] = _NAMES | _SIZES | _PAX | _KINDS | _LINKS | _AGAIN | _DEPTHS | _ENDS | dict(_dots())
