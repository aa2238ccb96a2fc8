"""``sccachedist check``: whether a file is good, and what a reload would make of it."""

from pathlib import Path

from sccachedist.cli.either_role import load_either, role_of
from sccachedist.client.farm import Farm
from sccachedist.config import SchedulerSettings
from sccachedist.config.changes import differing, digests
from sccachedist.errors import PeerError


def run_check(config: Path) -> None:
    """Print what there is to say about a configuration file.

    A scheduler that runs is asked what differs, if the file has the token of an administrator of it. No value is sent
    or told, but a digest of each.

    :raises ConfigError: it is not good, or what ``[cluster]`` needs is not installed.
    """
    settings = load_either(config)
    if isinstance(settings, SchedulerSettings) and settings.cluster is not None:
        from sccachedist.cluster.redis_store import authorities  # with the library that it needs, if that is there

        authorities(settings.cluster.lock_ca)
    print(f"ok: {config} is a {role_of(settings)}'s configuration")
    if isinstance(settings, SchedulerSettings) and settings.admin.token is not None:
        print(f"at a reload of the scheduler that runs: {_at_reload(config, settings)}")


def _at_reload(config: Path, settings: SchedulerSettings) -> str:
    farm = Farm.find(config=config, environment={})
    try:
        running = farm.settings()
        salt = bytes.fromhex(running["salt"])
    except PeerError as error:
        return f"unknown, {error}"
    except ValueError:
        return f"unknown, the scheduler at {farm.place.url} answered what it should not"
    return str(differing(running["keys"], digests(settings, salt), SchedulerSettings))
