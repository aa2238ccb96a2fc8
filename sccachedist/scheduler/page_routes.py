"""The farm's page: the files of ``sccachedist/page``, read once, as a browser gets them.

Anyone may load them: what the page shows it asks of the API, which asks who that is. All files but the index are in a
folder that is named by a hash of them all, so that a browser keeps them for as long as they are the same.
"""

import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import attrs

from sccachedist.outcomes import Outcome, Refusal, SentLocal, Suspicion, TimedPhase
from sccachedist.scheduler.scrape_routes import Accepted
from sccachedist.web.request_head import Head
from sccachedist.web.responses import Response, UnknownRoute
from sccachedist.web.router import Api

FOLDER = Path(__file__).parents[1] / "page"
INDEX = "index.html"
#: The module that has the vocabulary of outcomes: no file, but made of them.
WORDS = "words.js"
#: What the index has in place of the folder of the other files.
_STATIC = b"{static}"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_VOCABULARY = {
    "outcome": Outcome,
    "refusal": Refusal,
    "sent_local": SentLocal,
    "suspicious": Suspicion,
    "phase": TimedPhase,
}
#: Names of strangers are shown as text, and if one were not, this keeps it from doing anything.
HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)


def words_module() -> bytes:
    """The vocabulary as a module: each word of each kind, with what it means and what mends it."""
    words = {
        kind: {word.word: {"means": word.means, "mend": word.mend} for word in members}
        for kind, members in _VOCABULARY.items()
    }
    return f"export const WORDS = {json.dumps(words, separators=(',', ':'))};\n".encode()


@attrs.frozen
class PageFile:
    """A file as it is sent, compressed if the browser takes that."""

    plain: Response
    packed: Response

    @classmethod
    def of(cls, name: str, body: bytes, caching: str) -> "PageFile":
        """The file of a name, whose ending says what it is."""
        media_type = _MEDIA_TYPES[Path(name).suffix]
        headers = (("Content-Type", media_type), ("Cache-Control", caching), ("Vary", "Accept-Encoding"), *HEADERS)
        packed = Response(200, (*headers, ("Content-Encoding", "gzip")), gzip.compress(body, mtime=0))
        return cls(Response(200, headers, body), packed)


@attrs.frozen
class PageFiles:
    """What a browser gets.

    :param index: the document.
    :param bundle: the name of the folder that has all others.
    :param others: those, by their path in it.
    """

    index: PageFile
    bundle: str
    others: Mapping[str, PageFile]

    @classmethod
    def read(cls, folder: Path = FOLDER) -> "PageFiles":
        """Read them, which takes some milliseconds."""
        octets = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}
        octets[WORDS] = words_module()
        bundle = hashlib.sha256(repr(sorted(octets.items())).encode()).hexdigest()[:16]
        index = octets.pop(INDEX).replace(_STATIC, f"static/{bundle}".encode())
        others = {name: PageFile.of(name, body, _FOR_EVER) for name, body in octets.items()}
        return cls(PageFile.of(INDEX, index, "no-cache"), bundle, others)


class PageRoutes:
    """The page and what belongs to it."""

    api = Api()
    app = api.app

    def __init__(self, files: PageFiles) -> None:
        self._files = files

    async def _allow_anyone(self, head: Head, **_: object) -> bool:
        """All may load it. Whether the sender takes what is packed."""
        return Accepted.of(head).gzip

    @api.route("GET", "/", allow=_allow_anyone, answer=None, is_public=True)
    async def page(self, gzip: bool, _body: None) -> Response:
        """Show the page."""
        return self._sent(self._files.index, gzip)

    @api.route("GET", "/static/<bundle>/<path:name>", allow=_allow_anyone, answer=None, is_public=True)
    async def page_file(self, gzip: bool, _body: None, bundle: str, name: str) -> Response:
        """Give a file of the page.

        :raises UnknownRoute: there is none of this name, or it is one of another version.
        """
        if bundle != self._files.bundle or name not in self._files.others:
            raise UnknownRoute(f"/static/{bundle}/{name}")
        return self._sent(self._files.others[name], gzip)

    def _sent(self, file: PageFile, gzip: bool) -> Response:
        return file.packed if gzip else file.plain
