"""Hands over from one term to the next: the last heartbeats of build servers, and what is out of service.

While this scheduler decides, both are written to a board, for which no request waits. When its term begins, it recalls
what is there: a heartbeat goes the way of every other one, with its age, and a build server that has been silent for
too long stays away. What has come here meanwhile counts. If the board is away, nothing stops, and all is written when
it is back.

Which heartbeats are written and when, :mod:`sccachedist.scheduler.last_heartbeats` decides. Who decides for the farm is
not known here.
"""

import json
from collections import Counter

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from sccachedist.auth.servers import Revocable
from sccachedist.cluster.board import Board, BoardChanges, Posted
from sccachedist.cluster.store import StoreError
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import DecodeError, SccachedistError, ServerRevoked
from sccachedist.printable import excerpt
from sccachedist.scheduler.last_heartbeats import LastHeartbeats
from sccachedist.scheduler.liveness import patience_secs
from sccachedist.scheduler.out_of_service import OutOfService
from sccachedist.scheduler.sealed_heartbeats import LastHeartbeat, sealed, unsealed
from sccachedist.scheduler.term import Term
from sccachedist.web.slices import Slices
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import ServerReport
from sccachedist.wire.messages import Heartbeat

log = Logger()

#: Seconds between two looks for what is to be written.
TICK_SECS = 1.0
#: Seconds after which the board is written to although there is nothing new: it may have been emptied.
LOOK_SECS = 3.0
#: Seconds by which a heartbeat on the board may be of later than now: a clock was set.
EARLY_SECS = 5.0
#: Seconds that a board has when the scheduler stops.
LAST_SECS = 2.0
#: The board, among the addresses between which the reactor's time is shared.
_PARTY = "board"


class Handover:
    """Keeps on a board what this scheduler knows, and recalls what was kept.

    :param state: what is out of service, if that is kept on the board, too.
    :param servers: which build servers are let in, and their secrets.
    """

    def __init__(
        self, board: Board, state: OutOfService | None, servers: Revocable, slices: Slices, clock: IReactorTime
    ) -> None:
        self._board, self._state, self._servers, self._slices, self._clock = board, state, servers, slices, clock
        self.heartbeats = LastHeartbeats()
        self._term: Term | None = None
        self._before = OutOfService()
        self._is_recalled, self._is_state_new, self._is_silent, self._written = False, True, False, clock.seconds()
        self._one_turn = DeferredLock()
        self._quiet_log = QuietLog(clock.seconds)
        if state is not None:
            state.observe(self._state_changed)

    def hear(self, server_id: ServerId, heartbeat: Heartbeat, report: ServerReport | None, at: float) -> None:
        """Keep a heartbeat, if this scheduler decides.

        :param at: when it came, by the clock.
        """
        if self._term is not None:
            self.heartbeats.hear(server_id, heartbeat, report, at)

    def begin(self, term: Term) -> None:
        """A term begins here: recall what the board has, and keep from now on what this scheduler knows."""
        self._term, self._is_recalled, self._is_state_new = term, False, True
        self.heartbeats.clear()
        if self._state is not None:
            self._before = self._state.copy()
        self._take_turn()

    def end(self) -> None:
        """Another scheduler decides, or none."""
        self._term = None
        self.heartbeats.clear()
        self._board.close()

    def tick(self) -> None:
        """Write what is to be written now, unless the board is busy."""
        if self._term is not None and not self._one_turn.locked:
            self._take_turn()

    async def stop(self) -> None:
        """Write the last news, unless the board takes too long, and nothing from then on."""
        if self._term is not None:
            self.heartbeats.renew(self._clock.seconds())
            await self._take_turn().addTimeout(LAST_SECS, self._clock)
        self.end()

    def _state_changed(self) -> None:
        self._is_state_new = True
        if self._is_recalled:
            self.tick()

    def _take_turn(self) -> Deferred[None]:
        taken: Deferred[None] = self._one_turn.run(self._turn)
        return taken.addErrback(_told)

    async def _turn(self) -> None:
        is_done = False
        try:
            await self._do_all()
            is_done = True
        except StoreError as error:
            self._is_silent, why = True, str(error)
            form = "what the next scheduler is to know is not kept: {error}"
            self._quiet_log.tell(log, LogLevel.warn, "board", form, why=why, error=why)
        finally:
            if not is_done:
                self._write_all()
        if self._is_silent and is_done:
            self._is_silent = False
            self._quiet_log.forget("board")
            log.info("what the next scheduler is to know is kept again")

    async def _do_all(self) -> None:
        """Recall, and then write all news.

        :raises StoreError: the board is away.
        """
        term = self._term
        if term is not None and not self._is_recalled:
            await self._recall(term, await self._board.read())
        while self._term is term is not None and self._has_news() and await self._write(term):
            pass

    # -- recalling --

    async def _recall(self, term: Term, posted: Posted) -> None:
        read, lapsed, refused = self._clock.seconds(), 0, Counter[str]()
        if posted.state is not None and self._state is not None and self._term is term:
            self._recall_state(self._state, posted.state)
            term.renew_drains()
        async for address, octets in self._slices.of(_PARTY, posted.servers.items()):
            if self._term is not term:
                return
            try:
                lapsed += not self._recall_server(term, address, octets, posted.now + self._clock.seconds() - read)
            except SccachedistError as error:
                refused[excerpt(str(error))] += 1
        if self._term is term:
            self._is_recalled = True
            self._tell(len(posted.servers) - lapsed - refused.total(), lapsed, refused)

    def _recall_state(self, state: OutOfService, octets: bytes) -> None:
        try:
            state.recall(json.loads(octets), self._before)
        except (DecodeError, ValueError, RecursionError) as error:
            log.warn("what was out of service is not recalled: {why}", why=excerpt(str(error)))
        else:
            log.info("{count} drains are recalled", count=len(state.drains))

    def _recall_server(self, term: Term, address: str, octets: bytes, now: float) -> bool:
        """Let a term know a build server; returns False if that has been silent for too long.

        :raises SccachedistError: it is not let in any longer, or the bytes are none that were kept.
        """
        server_id = ServerId.parse(address)
        if self._servers.is_revoked(server_id):
            raise ServerRevoked(f"build server {server_id} is revoked")
        said = unsealed(server_id, octets, self._servers.secrets)
        age = now - said.heard
        if age < -EARLY_SECS:
            raise DecodeError("it is of a time that is still to come")
        if age > patience_secs(said.report):
            return False
        term.recall(server_id, said.heartbeat, said.report, max(age, 0.0))
        return True

    @staticmethod
    def _tell(recalled: int, lapsed: int, refused: Counter[str]) -> None:
        if recalled or lapsed:
            form = "{count} build servers are recalled; {lapsed} have been silent for too long"
            log.info(form, count=recalled, lapsed=lapsed)
        if refused:
            ((why, _),) = refused.most_common(1)
            log.warn("{count} build servers are not recalled, most because: {why}", count=refused.total(), why=why)

    # -- writing --

    def _has_news(self) -> bool:
        now = self._clock.seconds()
        has_state = self._is_state_new and self._state is not None
        return has_state or self.heartbeats.has_due(now) or now - self._written >= LOOK_SECS

    async def _write(self, term: Term) -> bool:
        """Write some of the news; returns whether the rest may follow at once.

        :raises StoreError: the board does not take them.
        """
        time_there = await self._board.time()
        time_here = self._clock.seconds()
        if self._term is not term:
            return False
        batch, state = self.heartbeats.take(), None
        if self._is_state_new and self._state is not None:
            self._is_state_new, state = False, json.dumps(self._state.to_json()).encode()
        secret = next(iter(self._servers.secrets))
        servers: dict[str, bytes | None] = {}
        async for server_id, heard in self._slices.of(_PARTY, batch.heard.items()):
            said = None
            if heard is not None:
                said = LastHeartbeat(heard.heartbeat, heard.report, heard.at - time_here + time_there)
            servers[str(server_id)] = None if said is None else sealed(server_id, said, secret)
        if self._term is not term:
            return False
        is_whole = await self._board.write(BoardChanges(servers, state, batch.replaces_all))
        self._written = self._clock.seconds()
        is_known = is_whole or batch.replaces_all
        if not is_known:
            self._write_all()
        return is_known

    def _write_all(self) -> None:
        self._is_state_new = True
        self.heartbeats.write_all()


def _told(failure: Failure) -> None:
    """Tell the log of an error that has no place there: one turn less is no harm. One that was given up is none."""
    if not failure.check(CancelledError):
        log.failure("the board", failure)
