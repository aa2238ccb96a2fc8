"""What the doctor checks of ``[toolchains] store``: it is asked as a build server asks it."""

from collections.abc import AsyncIterator
from typing import Any

from sccachedist.cli.doctor.findings import Finding, failed, good
from sccachedist.config import ToolchainsSettings
from sccachedist.errors import PeerError
from sccachedist.objects.store import object_store
from sccachedist.wire.archive_id import NO_TOOLCHAIN

CHECK = "toolchains.store"


async def object_store_check(reactor: Any, settings: ToolchainsSettings) -> AsyncIterator[Finding]:
    """Look for an object that is not there: a store that says so knows the bucket and takes the credentials.

    :raises ConfigError: the store cannot be used as it is configured.
    """
    if (store := object_store(settings, reactor)) is None:
        return
    try:
        await store.look(NO_TOOLCHAIN)
    except PeerError as error:
        yield failed(CHECK, f"{store.url}: {error}", "correct it; meanwhile, clients bring toolchains")
    else:
        yield good(CHECK, f"{store.url} answers, and takes the credentials")
    finally:
        await store.close()
