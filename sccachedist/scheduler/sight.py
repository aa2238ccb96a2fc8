"""Which words of a record its reader sees: names of files, and what compilers said, belong to the client that compiled.

Pure. All else of a record is for all who may look. What is not shown cannot be searched for either.
"""

import attrs

from sccachedist.config import NamesFor
from sccachedist.outcomes import SentLocal
from sccachedist.records.documents import JobRow
from sccachedist.records.ring import CLIENT, Entry, reason_of
from sccachedist.scheduler.farm_documents import job_row, names, outline
from sccachedist.scheduler.roles import Role


@attrs.frozen
class Sight:
    """What one sees of the records of others. By default, the least.

    :param own: the client whose records are the reader's own, as they name it.
    :param names: whether the names of others' outputs are seen.
    :param reasons: whether it is seen what others were told in place of a result; ``words``: also if that is what a
        compiler said.
    """

    own: str | None = None
    names: bool = False
    reasons: bool = False
    words: bool = False

    @classmethod
    def of(cls, role: Role, names_for: NamesFor, own: str | None) -> "Sight":
        """What a role sees.

        :param own: the client that the reader is, or the one at the same address.
        """
        if role is Role.ANYONE:
            return cls()
        least = Role.CLIENT if names_for is NamesFor.CLIENTS else Role.VIEWER
        return cls(own, role >= least, role >= Role.VIEWER, role >= Role.ADMINISTRATOR)

    def output(self, entry: Entry) -> str:
        """The name of the output; empty if it is not known, or not shown."""
        return names(entry)[0] if self.names or self._is_own(entry) else ""

    def outline(self, entry: Entry, *, named: bool) -> JobRow:
        """As :func:`~sccachedist.scheduler.farm_documents.outline`."""
        return outline(entry, named=named and (self.names or self._is_own(entry)))

    def row(self, entry: Entry) -> JobRow:
        """As :func:`~sccachedist.scheduler.farm_documents.job_row`; what is not shown is null."""
        row = job_row(entry)
        if self._is_own(entry):
            return row
        if not self.names:
            row["output"] = None
        if not (self.words if reason_of(entry) is SentLocal.SUSPICIOUS else self.reasons):
            row["detail"] = None
        return row

    def _is_own(self, entry: Entry) -> bool:
        return self.own is not None and entry[CLIENT] == self.own
