"""Which session the events of a table's life belong to."""

from __future__ import annotations

from processes.inference.tables import Life

__all__ = ["SessionOfBooks"]


class SessionOfBooks:
    """Binds the collector's announced session to the life of its table.

    A restarted collector may be heard with its triggers before its session: the session of an
    earlier life is never taken for that of a later one.
    """

    def __init__(self) -> None:
        self._life: Life | None = None
        self._uid: str | None = None

    def announce(self, session_uid: str, life: Life | None) -> bool:
        """The collector said what it writes while its table lived `life` -> whether that is new.

        A collector makes its table before it speaks; what an earlier one said may still arrive
        after that, but it says nothing new.
        """
        if life is None or session_uid == self._uid:
            return False
        self._life, self._uid = life, session_uid
        return True

    def of(self, life: Life | None) -> str | None:
        """The session of that life, None while it is not known."""
        return self._uid if life is not None and life == self._life else None
