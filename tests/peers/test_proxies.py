"""Which proxy a URL is asked through: each row is what the published scheduler, 0.16.0, was seen to do."""

import pytest

from sccachedist.peers.proxies import Proxies, Proxy, read_proxy

PROXY, OTHER = "http://proxy:3128", "http://other:3128"
URL, TLS_URL = "http://keys.invalid/check?x=1", "https://keys.invalid/"
SERVED = "http://127.0.0.1:38693/"


@pytest.mark.parametrize(
    ("environment", "url", "proxied"),
    [
        ({}, URL, False),
        ({"HTTP_PROXY": PROXY}, URL, True),
        ({"http_proxy": PROXY}, URL, True),
        ({"http_proxy": OTHER, "HTTP_PROXY": PROXY}, URL, True),
        ({"http_proxy": "", "HTTP_PROXY": PROXY}, URL, True),
        ({"HTTP_PROXY": "", "http_proxy": PROXY}, URL, False),
        ({"ALL_PROXY": PROXY}, URL, True),
        ({"all_proxy": PROXY}, URL, True),
        ({"ALL_PROXY": OTHER, "HTTP_PROXY": PROXY}, URL, True),
        ({"ALL_PROXY": PROXY, "HTTP_PROXY": ""}, URL, True),
        ({"HTTPS_PROXY": PROXY}, URL, False),
        ({"HTTP_PROXY": PROXY}, TLS_URL, False),
        ({"HTTPS_PROXY": PROXY}, TLS_URL, True),
        ({"https_proxy": PROXY}, TLS_URL, True),
        ({"ALL_PROXY": PROXY}, "https://[::1]:8443/", True),
        ({"HTTP_PROXY": PROXY}, SERVED, True),
        *(({name: PROXY, "REQUEST_METHOD": "GET"}, URL, False) for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY")),
        ({"HTTPS_PROXY": PROXY, "REQUEST_METHOD": ""}, TLS_URL, False),
    ],
)
def test_variables(environment: dict[str, str], url: str, proxied: bool) -> None:
    """Upper case goes first, also when it is empty; ALL_PROXY is for what has none; a CGI program has none at all."""
    proxy = Proxies.of_environment(environment).of(url)
    assert proxy == (Proxy("http", "proxy", 3128) if proxied else None)


@pytest.mark.parametrize(
    ("value", "proxy", "authorization"),
    [
        ("http://h:1", "http://h:1", None),
        ("h:1", "http://h:1", None),
        ("h", "http://h:80", None),
        ("HTTP://h:1", "http://h:1", None),
        ("http://h:1/some/path", "http://h:1", None),
        ("http://h:1?x", "http://h:1", None),
        ("http://h:1#x", "http://h:1", None),
        ("http://h:", "http://h:80", None),
        ("http://h:99999", "http://h:80", None),
        ("https://h", "https://h:443", None),
        ("http://[::1]:3128", "http://[::1]:3128", None),
        ("http://u%40s:p%3Aw@h:1", "http://h:1", b"Basic dUBzOnA6dw=="),
        ("u:p@h:1", "http://h:1", b"Basic dTpw"),
        ("http://user:@h:1", "http://h:1", b"Basic dXNlcjo="),
        ("http://:pw@h:1", "http://h:1", b"Basic OnB3"),
        ("http://a:b:c@h:1", "http://h:1", b"Basic YTpiOmM="),
        ("http://u%zz:p@h:1", "http://h:1", b"Basic dSV6ejpw"),
        ("socks5://h:1", "socks5://h:1", None),
        ("socks5h://h", "socks5h://h:1080", None),
    ],
)
def test_values(value: str, proxy: str, authorization: bytes | None) -> None:
    """A host, and perhaps more; what it shows of itself is no password."""
    read = read_proxy(value)
    assert read is not None
    assert (str(read), read.authorization) == (proxy, authorization)
    assert "Basic" not in repr(read)
    assert read.usable is not proxy.startswith("socks")


@pytest.mark.parametrize(
    "value",
    [
        *("", "//h:1", "http://", "socks5://", "ftp://h:1", "pac+http://x", "wss://h:1", "http://user@h:1"),
        *("http://a@b:c@h:1", " http://h:1 ", "http://a b", "http://pr\u00f6xy:1", "::garbage", "h:1/path"),
    ],
)
def test_values_that_are_ignored(value: str) -> None:
    """What is no proxy is as if it were not there, and is named."""
    proxies = Proxies.of_environment({"HTTP_PROXY": value, "all_proxy": PROXY})
    assert proxies.of(URL) == Proxy("http", "proxy", 3128)
    assert list(proxies.ignored) == (["HTTP_PROXY"] if value else [])
    assert list(Proxies.of_environment({"ALL_PROXY": value}).ignored) == (["ALL_PROXY"] if value else [])


HOSTS = {
    SERVED: (
        ["127.0.0.1", "127.0.0.0/8", "127.0.0.1/32", " 127.0.0.1 ", "x, 127.0.0.1", "0.0.0.0/0"],
        [
            *(
                "127.0.0.0/33",
                "127.0.0.1/",
                "*",
                "",
                "127.0.0.1:38693",
                "x 127.0.0.1",
                "127.0.0.1;x",
                "127.0.0",
                "127.",
            ),
            *(".0.0.1", "::/0", "10.0.0.0/8", "*.0.0.1", "127.0.0.*", "[127.0.0.1]", "*,x", "::ffff:127.0.0.1"),
        ],
    ),
    "http://localhost:38693/": (
        ["localhost", ".localhost"],
        ["LOCALHOST", "*.localhost", "ocalhost", "host", "127.0.0.1", "localhost.", "local*", "http://localhost"],
    ),
    "http://LOCALHOST:38693/": (["localhost"], []),
    "http://localhost.:38693/": (["localhost."], ["localhost"]),
    "http://a.b.invalid/": (
        [
            "b.invalid",
            ".b.invalid",
            "a.b.invalid",
            ".a.b.invalid",
            "invalid",
            ".invalid",
            ",,b.invalid,,",
            "*",
            " * ",
            "x,*",
        ],
        ["*.b.invalid", ".b.invalid.", "b.INVALID", "*.invalid", "xb.invalid", ".", "*b.invalid", "a.*", "**", "*."],
    ),
    "http://[::1]:38693/": (
        ["::1", "::1/128", "::/0", "0:0:0:0:0:0:0:1", "::/64"],
        ["[::1]", "[::1]:38693", "[::]/0"],
    ),
}


@pytest.mark.parametrize(
    ("url", "excepted", "direct"),
    [(url, value, not kind) for url, kinds in HOSTS.items() for kind in (0, 1) for value in kinds[kind]],
)
def test_no_proxy(url: str, excepted: str, direct: bool) -> None:
    """Names with all below them, addresses and networks; a star is every name, and no address."""
    assert (Proxies.of_environment({"HTTP_PROXY": PROXY, "NO_PROXY": excepted}).of(url) is None) is direct


@pytest.mark.parametrize(("upper", "direct"), [(None, True), ("x", False), ("", False)])
def test_both_cases_of_no_proxy(upper: str | None, direct: bool) -> None:
    """As of the other variables."""
    environment = {"HTTP_PROXY": PROXY, "no_proxy": "127.0.0.1"} | ({} if upper is None else {"NO_PROXY": upper})
    assert (Proxies.of_environment(environment).of(SERVED) is None) is direct
