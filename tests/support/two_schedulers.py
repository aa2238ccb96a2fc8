"""Two schedulers of one farm, with the lock of their leader in a store. Which one starts first is not known here."""

from pathlib import Path

import attrs

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, Launch, adding
from farmkit.processes import LOOPBACK, free_port
from tests.support.redis_servers import RedisServer


def two_schedulers(
    folders: tuple[Path, Path], store: RedisServer, server: Launch = OUR_SERVER, **tables: str
) -> tuple[Farm, Farm]:
    """A farm with its build server and a scheduler, and the same farm with the other scheduler; neither is started.

    :param tables: what else both schedulers have in their configuration files.
    """
    ports = free_port(), free_port()
    urls = [f"http://{LOOPBACK}:{port}" for port in ports]
    cluster = f'lock = "redis://{LOOPBACK}:{store.port}"\nschedulers = {urls}'
    first = Farm(folders[0], adding(OUR_SCHEDULER, cluster=cluster, **tables), server, scheduler_port=ports[0])
    return first, attrs.evolve(first, folder=folders[1], scheduler_port=ports[1])
