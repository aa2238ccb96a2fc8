"""The keys of ``[toolchains]``: where a build server gets toolchains from, beside from clients.

This module does not know how a build server does that.
"""

import re
from pathlib import Path

from attrs import field, frozen

from sccachedist.config.schema import Effect, Value, key
from sccachedist.config.values import BOOL, NUMBER, ORIGIN, PATH, TOKEN
from sccachedist.errors import ConfigError
from sccachedist.wire.http_texts import plain_text

RESTART = Effect.RESTART
#: A bucket, and what stands before the names of all objects: nothing that a URL would have to quote.
_STORE = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[A-Za-z0-9._/-]{0,512}))?")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@frozen
class ObjectStoreAddress:
    """A bucket of an object store.

    :param prefix: what stands before the name of each object; empty, or it ends with a slash.
    """

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @classmethod
    def parse(cls, text: str) -> "ObjectStoreAddress":
        """What a URL says.

        :raises ValueError: it is none of that form.
        """
        url = _STORE.fullmatch(plain_text(text))
        prefix = (url["prefix"] or "").strip("/") if url else ""
        if url is None or ({"", ".", ".."} & set(prefix.split("/")) and prefix) or ".." in url["bucket"]:
            raise ValueError
        return cls(url["bucket"], f"{prefix}/" if prefix else "")


def _region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise ValueError
    return text


STORE = Value(str, "s3://BUCKET or s3://BUCKET/PREFIX", ObjectStoreAddress.parse)
REGION = Value(str, "the name of a region such as eu-central-1", _region)


@frozen
class ToolchainsSettings:
    """Where a build server gets toolchains from, beside from clients."""

    share: bool = field(
        default=True,
        metadata=key(
            BOOL,
            "Whether it fetches toolchains from other build servers of sccachedist under the same scheduler, and gives "
            "them its own. Else clients bring each of its toolchains, unless ``store`` has it.",
            RESTART,
        ),
    )
    prewarm: int = field(
        default=4,
        metadata=key(
            NUMBER,
            "How many of the toolchains that the farm needed most in the last hour it fetches before it says that it "
            "is ready, for 20 seconds at most; none with 0.",
            RESTART,
        ),
    )
    store: ObjectStoreAddress | None = field(
        default=None,
        metadata=key(
            STORE,
            "The bucket of an object store, by the protocol of S3, in which it keeps toolchains that clients bring, "
            "and where it gets those that no build server has. Needs ``pip install 'sccachedist[s3]'``.",
            RESTART,
        ),
    )
    store_endpoint: str | None = field(
        default=None,
        metadata=key(ORIGIN, "The URL of the store, if it is not that of Amazon for ``store_region``.", RESTART),
    )
    store_region: str | None = field(
        default=None,
        metadata=key(
            REGION,
            "The store's region; by default, that of the environment or of the AWS configuration, or else "
            "``us-east-1``.",
            RESTART,
        ),
    )
    store_ca: Path | None = field(
        default=None,
        metadata=key(
            PATH,
            "The authorities that sign the store's certificate, PEM; by default, those that this host trusts.",
            RESTART,
        ),
    )
    store_access_key: str | None = field(
        default=None,
        metadata=key(
            TOKEN,
            "The id of the key for the store; without it, credentials are found as by the AWS programs: in the "
            "environment, in ``~/.aws``, or in the role of the host or container.",
            RESTART,
        ),
    )
    store_secret_key: str | None = field(
        default=None, repr=False, metadata=key(TOKEN, "The secret of that key.", RESTART)
    )


def check_key(settings: ToolchainsSettings) -> None:
    """Check that the key for the store is whole.

    :raises ConfigError: it is not; it names the key.
    """
    if (settings.store_access_key is None) != (settings.store_secret_key is None):
        raise ConfigError("toolchains.store_access_key: a key has an id and a secret, and one of them is missing")
