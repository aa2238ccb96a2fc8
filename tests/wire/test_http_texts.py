"""URLs of services, and tokens in headers."""

import pytest

from sccachedist.wire.http_texts import header_token, plain_text, split_url


@pytest.mark.parametrize(
    "text", ["http://farm", "https://farm.example:10600/path", "http://127.0.0.1:1", "http://[::1]:10600/?q"]
)
def test_urls(text: str) -> None:
    """They are taken as they are."""
    assert split_url(text).geturl() == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "farm", "ftp://farm", "http://", "http://a:b@farm", "http://farm:0", "http://farm:x", "http://fa rm"),
        *("http://127.1", "http://[::g]", "http://[1:2]", "http://farm\n", "http://farm\0", "http://\ud800"),
    ],
)
def test_no_urls(text: str) -> None:
    """What browsers would mend is wrong here."""
    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        split_url(text)


@pytest.mark.parametrize("text", ["", " a", "a ", "a\nb", "a\0", "\x7f", "\ud800"])
def test_no_tokens(text: str) -> None:
    """What would break a header, or would be another token at its other end."""
    with pytest.raises(ValueError):  # noqa: PT011
        header_token(text)
    assert header_token("a token") == plain_text("a token") == "a token"
