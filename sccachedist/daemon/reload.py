"""Reads the configuration again while its role runs: all of it is taken, or nothing.

A role says which of its parts take which keys (:class:`Part`). What a reload does with each key is declared with the
key, in :mod:`sccachedist.config`; a key that needs a restart keeps the value that it had. What a part does with a value
is not known here.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import ClassVar, Generic, TypeAlias, TypeVar

import attrs

from sccachedist.config import SchedulerSettings, ServerSettings, WorkerSettings
from sccachedist.config.changes import ChangedKeys, changes, merged
from sccachedist.daemon.logs import Logger
from sccachedist.errors import ConfigError

log = Logger()

S = TypeVar("S", SchedulerSettings, ServerSettings, WorkerSettings)

#: Brings what was prepared into force. It does not fail.
Commit: TypeAlias = Callable[[], None]


@attrs.frozen
class Part(Generic[S]):
    """What takes the values of some keys.

    :param keys: dotted; a table stands for all its keys.
    :param apply: called with the settings if one of the keys has changed; it does not fail.
    """

    keys: tuple[str, ...]
    apply: Callable[[S], None]
    is_always: ClassVar[bool] = False

    def prepare(self, settings: S) -> Commit:
        """There is nothing to prepare."""
        return partial(self.apply, settings)


@attrs.frozen
class PreparedPart(Generic[S]):
    """The same, of what may turn out to be impossible, such as a file that cannot be read.

    :param prepare: changes nothing yet; raises ConfigError, which begins with the dotted key.
    :param is_always: whether it is called at each reload: it reads more than its keys say.
    """

    keys: tuple[str, ...]
    prepare: Callable[[S], Commit]
    is_always: bool = False


class Reload(Generic[S]):
    """The settings in force, and how they change.

    :param settings: those with which the role begins, as the file has them.
    :param load: reads the file again; raises ConfigError.
    :param now: about the seconds since 1970.
    :param fit: what of some settings this process can have.
    :ivar configured: those in force: as the file had them, but for what needs a restart; ``settings``: fitted, too.
    :ivar succeeded: when the file was last read without an error; ``failed``: whether it has been read with one since.
    """

    def __init__(
        self, settings: S, load: Callable[[], S], now: Callable[[], float], fit: Callable[[S], S] = lambda given: given
    ) -> None:
        self.configured: S = settings
        self.settings: S = fit(settings)
        self._load: Callable[[], S] = load
        self._fit: Callable[[S], S] = fit
        self._parts: list[Part[S] | PreparedPart[S]] = []
        self._now = now
        self.succeeded, self.failed = now(), False

    def add(self, *parts: Part[S] | PreparedPart[S]) -> None:
        """Have parts take their keys from now on, in this order."""
        self._parts.extend(parts)

    def preview(self) -> ChangedKeys:
        """What :meth:`reload` would change.

        :raises ConfigError: it would change nothing, for a reason.
        """
        return self._prepared()[0]

    def reload(self) -> ChangedKeys:
        """Read the file, and bring into force what does not need a restart; returns what differs.

        :raises ConfigError: nothing has changed; one line says why.
        """
        try:
            found, self.configured, self.settings, commits = self._prepared()
        except ConfigError as error:
            self.failed = True
            log.error("the configuration stays as it is: {error}", error=str(error))
            raise
        for commit in commits:
            with log.failuresHandled("a part of the configuration is not in force"):
                commit()
        self.succeeded, self.failed = self._now(), False
        log.info("the configuration was read again: {changes}", changes=str(found))
        return found

    def at_signal(self) -> None:
        """Do the same; the log says what became of it."""
        with suppress(ConfigError):
            self.reload()

    def _prepared(self) -> tuple[ChangedKeys, S, S, list[Commit]]:
        new = self._load()
        found, configured = changes(self.configured, new), merged(self.configured, new)
        if configured.limits == self.configured.limits:
            settings = attrs.evolve(configured, limits=self.settings.limits)
        else:
            settings = self._fit(configured)
        commits = [
            part.prepare(settings)
            for part in self._parts
            if part.is_always or any(_is_in(key, part.keys) for key in found.at_once)
        ]
        return found, configured, settings, commits


def _is_in(key: str, keys: tuple[str, ...]) -> bool:
    """Whether a dotted key is one of some, or in a table that is."""
    return any(key == each or key.startswith(f"{each}.") for each in keys)
