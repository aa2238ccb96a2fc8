"""Signs requests to an object store, with credentials as the programs of AWS find them. Here alone botocore is used.

Both may block: credentials may lie in files, or come from a service of the host. How a request travels is not known
here.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from sccachedist.disks import on_disk
from sccachedist.errors import ConfigError, PeerError
from sccachedist.printable import excerpt

try:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session
except ModuleNotFoundError as error:
    raise ConfigError("toolchains.store: needs botocore: pip install 'sccachedist[s3]'") from error

_DEFAULT_REGION = "us-east-1"


class Signer:
    """Signs requests.

    :param region: None for that of the environment or of the AWS configuration.
    :param key: the id and the secret of a key; None for credentials that are found.
    """

    def __init__(self, region: str | None, key: tuple[str, str] | None) -> None:
        self._session = Session()
        self._own = None if key is None else Credentials(*key)
        try:
            self.region: str = region or self._session.get_config_variable("region") or _DEFAULT_REGION
        except BotoCoreError as error:
            raise ConfigError(f"toolchains.store: the AWS configuration cannot be used: {error}") from error

    def signed(self, method: str, url: str, headers: Mapping[str, str], file: Path | None) -> dict[str, str]:
        """Return the headers with which a request is to be sent: these, and those that prove who sends it. Blocks.

        :param file: whose content is the body, which is covered by the signature.
        :raises PeerError: there are no credentials.
        :raises DiskError: the file cannot be read.
        """
        try:
            credentials = self._own or self._session.get_credentials()
            if credentials is None:
                raise PeerError("no credentials are found: set toolchains.store_access_key and its secret", status=401)
            frozen = credentials.get_frozen_credentials()
        except (BotoCoreError, OSError) as error:  # a file that this user may not read is one of them
            raise PeerError(f"no credentials: {excerpt(str(error))}", status=401) from error
        with (
            nullcontext() if file is None else on_disk(file.parent),
            nullcontext() if file is None else file.open("rb") as content,
        ):
            request = AWSRequest(method, url, dict(headers), content)
            S3SigV4Auth(frozen, "s3", self.region).add_auth(request)
        return dict(request.headers.items())
