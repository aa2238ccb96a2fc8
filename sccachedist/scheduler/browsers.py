"""What the head of a browser's request says, and how far it is believed: cookies, origins, proxies in between.

Pure. Who may do what is decided in :mod:`sccachedist.scheduler.farm_readers`.
"""

import attrs

from sccachedist.auth.bearer import plain_address
from sccachedist.printable import excerpt
from sccachedist.scheduler.sessions import MOST_CHARACTERS
from sccachedist.web.proxied_heads import ProxiedHeads, single
from sccachedist.web.request_head import Head

#: The cookie that holds a session. Over TLS its name has a prefix that keeps other hosts of the domain from setting it.
COOKIE = "sccachedist"
_PREFIX = "__Host-"
#: The most characters of all cookies that are looked at, and of a user's name.
_MOST_COOKIES, _MOST_NAME = 8192, 64


@attrs.define(eq=False)
class Browsers(ProxiedHeads):
    """Reads heads of browsers."""

    def session(self, head: Head) -> str | None:
        """The session in the cookie; None if there is none, or two: then another may have set one."""
        name, cookies = self._cookie(head), single(head, "cookie") or ""
        if len(cookies) > _MOST_COOKIES:
            return None
        pairs = (pair.strip(" ").partition("=") for pair in cookies.split(";"))
        found = [value for key, _, value in pairs if key == name]
        return found[0] if len(found) == 1 and len(found[0]) <= MOST_CHARACTERS else None

    def set_cookie(self, session: str, secs: float, *, is_secure: bool) -> str:
        """The value of ``Set-Cookie`` that gives a session to a browser.

        :param is_secure: whether the browser asked over TLS, as :meth:`is_secure` says.
        """
        name, end = (f"{_PREFIX}{COOKIE}", "; Secure") if is_secure else (COOKIE, "")
        return f"{name}={session}; Path=/; Max-Age={secs:.0f}; HttpOnly; SameSite=Strict{end}"

    def user(self, head: Head) -> str | None:
        """The user that a trusted proxy has let in."""
        if self.user_header is None or not self.is_proxy(head):
            return None
        name = (single(head, self.user_header) or "").encode("latin-1").decode(errors="replace")
        return excerpt(name, _MOST_NAME) or None

    def is_secure(self, head: Head) -> bool:
        """Whether the browser asked over TLS."""
        forwarded = self.forwarded(head)
        return self._tls if forwarded is None else forwarded == "https"

    def is_private(self, head: Head) -> bool:
        """Whether an administrator may show a secret there: over TLS, on this host, or to a proxy.

        A proxy that does not say how it was asked is believed to have seen to it.
        """
        forwarded = self.forwarded(head)
        if forwarded is not None:
            return forwarded == "https"
        return self._tls or self.is_proxy(head) or plain_address(head.peer).is_loopback

    def is_same_origin(self, head: Head, *, may_be_silent: bool = False) -> bool:
        """Whether one of our pages asks, not one of another site in the same browser.

        :param may_be_silent: what to say of a sender that tells nothing, as no browser does.
        """
        site, origin = single(head, "sec-fetch-site"), single(head, "origin")
        if site is not None:
            return site == "same-origin"
        if origin is None:
            return may_be_silent
        scheme = "https" if self.is_secure(head) else "http"
        return origin.lower() == f"{scheme}://{head.headers.get('host', '')}".lower()

    def _cookie(self, head: Head) -> str:
        return f"{_PREFIX}{COOKIE}" if self.is_secure(head) else COOKIE
