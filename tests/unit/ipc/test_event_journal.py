"""Segments of book events: accepted means counted, bounded by bytes, read in order without gaps."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from ipc import event_journal as e
from ipc.journal import EventReader, EventSegments, JournalError, Segment, events_of

CAPACITY = 8
SEGMENT_BYTES = 8 * (e.HEADER_WORDS + e.RECORD_WORDS * CAPACITY)


def segments(folder: Path, segments: int = 100) -> EventSegments:
    return EventSegments(folder, capacity=CAPACITY, max_bytes=segments * SEGMENT_BYTES)


def append(journal: EventSegments, count: int = 1) -> int:
    """Records whose receive time is their number -> how many were accepted."""
    for done in range(count):
        if not journal.room(1):
            return done
        words, number = journal.words, journal.next_event_no
        at = e.HEADER_WORDS + e.RECORD_WORDS * int(words[e.COUNT])
        words[at : at + 2] = number
        words[e.COUNT] += 1
    return count


def test_numbers_run_on_over_segments_without_gap(tmp_path: Path) -> None:
    journal = segments(tmp_path)
    assert append(journal, 3 * CAPACITY + 2) == 3 * CAPACITY + 2
    assert len(list(tmp_path.glob("events-*.seg"))) == 4
    found = np.concatenate(list(events_of(tmp_path)))
    assert found["event_no"].tolist() == list(range(1, 3 * CAPACITY + 3))
    assert (found["recv_ns"] == found["event_no"]).all()
    journal.close()


def test_a_record_that_is_not_counted_is_not_there(tmp_path: Path) -> None:
    journal = segments(tmp_path)
    append(journal, 2)
    journal.words[e.HEADER_WORDS + 2 * e.RECORD_WORDS] = 3  # written, and killed before the count
    reader = EventReader(tmp_path)
    assert reader.count() == 2
    assert reader.read(1, 100)["event_no"].tolist() == [1, 2]
    reader.close()
    journal.close()


def test_a_full_journal_refuses_until_room_was_made(tmp_path: Path) -> None:
    journal = segments(tmp_path, segments=2)
    assert append(journal, 100) == 2 * CAPACITY
    reader = EventReader(tmp_path)
    assert reader.remove_before(CAPACITY) == 0, "its last record has not been recorded"
    assert not journal.room(1)
    assert reader.remove_before(CAPACITY + 1) == 1
    assert append(journal, 1) == 1
    assert reader.first() == CAPACITY + 1
    assert reader.count() == 2 * CAPACITY + 1
    with pytest.raises(JournalError, match="event 1 is no longer in the journal"):
        reader.read(1, 1)
    reader.close()
    journal.close()


def test_a_disk_that_is_full_is_a_refusal_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = segments(tmp_path)
    append(journal, CAPACITY)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        assert append(journal, 1) == 0
        assert len(list(tmp_path.iterdir())) == 1
    assert append(journal, 1) == 1
    journal.close()


def test_more_than_a_segment_is_refused_at_once(tmp_path: Path) -> None:
    journal = segments(tmp_path)
    append(journal, 1)
    assert not journal.room(CAPACITY + 1)
    assert journal.room(CAPACITY)
    journal.close()


def test_a_batch_never_straddles_two_segments(tmp_path: Path) -> None:
    journal = segments(tmp_path)
    append(journal, CAPACITY - 2)
    assert journal.room(3)
    assert journal.next_event_no == CAPACITY - 1
    assert journal.words[e.COUNT] == 0
    journal.close()


def test_the_last_segment_stays_whatever_was_recorded(tmp_path: Path) -> None:
    journal = segments(tmp_path)
    append(journal, CAPACITY)
    reader = EventReader(tmp_path)
    assert reader.remove_before(10**9) == 0
    reader.close()
    journal.close()


def test_a_segment_that_is_being_made_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "events-000000000001.seg").write_bytes(bytes(SEGMENT_BYTES))
    reader = EventReader(tmp_path)
    assert (reader.count(), len(reader.read(1, 10))) == (0, 0)
    reader.close()


@pytest.mark.parametrize(
    ("word", "value", "says"),
    [
        (1, 99, "not a journal segment of this layout"),
        (e.COUNT, CAPACITY + 1, f"{CAPACITY + 1} of {CAPACITY} records"),
        (e.COUNT, -1, f"-1 of {CAPACITY} records"),
        (e.CAPACITY, 10**6, "0 of 1000000 records"),
    ],
)
def test_a_segment_that_cannot_be_is_refused_by_name(
    tmp_path: Path, word: int, value: int, says: str
) -> None:
    path = tmp_path / "events-000000000001.seg"
    segment = Segment.create(path, 1, CAPACITY)
    segment.words[word] = value
    with pytest.raises(JournalError, match=f"{path}.*{says}"):
        Segment.open(path)
    segment.close()


def test_a_segment_shorter_than_its_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events-000000000001.seg"
    path.write_bytes(e.MAGIC.to_bytes(8, "little"))
    with pytest.raises(JournalError, match="8 bytes is shorter"):
        Segment.open(path)
