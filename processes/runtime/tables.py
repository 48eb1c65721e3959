"""A shared table as a reader holds it: attached when it is there, and again when it is replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ipc.shared_file import shared_path
from processes.runtime.log import Log

__all__ = ["AttachedTable"]


class _Table(Protocol):
    @property
    def generation(self) -> int: ...

    def heartbeat_age_ns(self, mono_ns: int) -> int: ...

    def replaced(self) -> bool: ...

    def close(self) -> None: ...


TableT = TypeVar("TableT", bound=_Table)


class AttachedTable(Generic[TableT]):
    """A table that may not be there yet, and may be replaced by another file at any time.

    One log line when there is none, one each time that another is attached.

    Args:
        data_dir: Folder of the stack.
        name: `books` or `accounts`.
        attach: Maps the table, such as `BookTable.attach`.
        log: Gets the lines.

    Attributes:
        attached: How often one was attached: what was read before belongs to another writer.
    """

    def __init__(
        self, data_dir: Path, name: str, attach: Callable[[Path], TableT], log: Log
    ) -> None:
        self.attached = 0  # how often: what was read before belongs to another writer
        self._path = shared_path(data_dir, name)
        self._name = name
        self._attach = attach
        self._log = log
        self._table: TableT | None = None
        self._reported_missing = False

    @property
    def table(self) -> TableT | None:
        """What was attached at the last `refresh`; None while there is no table."""
        return self._table

    def refresh(self) -> TableT | None:
        """Find the table that the path holds now; to be called now and then.

        Returns:
            The table, None while there is none.

        Raises:
            LayoutError: The file is no table of this version.
        """
        if self._table is not None and self._table.replaced():
            self.close()
        if self._table is None:
            self._table = self._find()
        return self._table

    def _find(self) -> TableT | None:
        try:
            found = self._attach(self._path)
        except FileNotFoundError:
            if not self._reported_missing:
                self._log("table_waiting", table=self._name)
            self._reported_missing = True
            return None
        self._reported_missing = False
        self.attached += 1
        self._log("table_attached", table=self._name, generation=found.generation)
        return found

    def age_ns(self, mono_ns: int) -> int | None:
        """Age of the writer's heartbeat; None without a table."""
        return None if self._table is None else self._table.heartbeat_age_ns(mono_ns)

    def close(self) -> None:
        """Unmap. Safe to repeat."""
        if self._table is not None:
            self._table.close()
            self._table = None
