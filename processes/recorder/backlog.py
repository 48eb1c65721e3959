"""What the journals hold and the database does not, whether or not there is a database."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from ipc.clock import NS_PER_MS
from ipc.event_journal import accepted_events
from ipc.journal import JournalError, accepted_bytes, list_streams

__all__ = ["Backlog"]

_NOTHING: Final = (0, 0)


class _Unstored(NamedTuple):
    """How much was accepted at some moment, of which not all is stored."""

    events: int
    record_bytes: int
    mono_ns: int


class Backlog:
    """Figures of all streams of a data folder.

    A stream of which the database's place is not known counts from the beginning of what its
    journal still holds.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._stored: dict[str, tuple[int, int]] = {}  # events, bytes of records
        self._accepted: dict[str, tuple[int, int]] = {}
        self._first: dict[str, tuple[int, int]] = {}
        self._waiting: dict[str, _Unstored] = {}

    def stored(self, name: str, events: int, record_bytes: int) -> None:
        """How far the stream is in the database."""
        self._stored[name] = events, record_bytes

    def look(self, mono_ns: int) -> None:
        """Read from the journals how much has been accepted.

        A journal that cannot be read just now (without descriptors, say) keeps its last figures.
        """
        names = set()
        for producer, uid, folder in list_streams(self._data_dir):
            name = f"{producer}/{uid}"
            names.add(name)
            try:
                events, records = accepted_events(folder), accepted_bytes(folder)
            except (OSError, JournalError):
                continue
            self._first[name] = events[0], records[0]
            self._accepted[name] = events[1], records[1]
        for known in (self._stored, self._accepted, self._first, self._waiting):
            for gone in known.keys() - names:
                del known[gone]
        for name in self._accepted:
            self._age(name, mono_ns)

    def _place(self, name: str) -> tuple[int, int]:
        """How far the stream is stored, as far as that is known."""
        return self._stored.get(name) or self._first.get(name, _NOTHING)

    def _age(self, name: str, mono_ns: int) -> None:
        """Remember a moment's figures until all that was accepted by then is stored."""
        stored, accepted = self._place(name), self._accepted[name]
        waiting = self._waiting.get(name)
        if waiting and (stored[0] < waiting.events or stored[1] < waiting.record_bytes):
            return
        self._waiting.pop(name, None)
        if stored[0] < accepted[0] or stored[1] < accepted[1]:
            self._waiting[name] = _Unstored(*accepted, mono_ns)

    @property
    def events(self) -> int:
        """Accepted book events of all streams that are not in the database."""
        return sum(max(0, a[0] - self._place(name)[0]) for name, a in self._accepted.items())

    @property
    def record_bytes(self) -> int:
        """Bytes of all other records that are not in the database."""
        return sum(max(0, a[1] - self._place(name)[1]) for name, a in self._accepted.items())

    def age_ms(self, mono_ns: int) -> int:
        """How long the oldest of it has waited, as seen by `look`; 0 when nothing waits."""
        oldest = min((w.mono_ns for w in self._waiting.values()), default=mono_ns)
        return (mono_ns - oldest) // NS_PER_MS
