"""What is accepted and not stored is counted, with or without a database."""

from __future__ import annotations

from pathlib import Path

from support.journals import CollectorJournal

from processes.recorder.backlog import Backlog

SECOND_NS = 1_000_000_000


def test_what_is_not_stored_counts_though_no_database_was_ever_there(tmp_path: Path) -> None:
    journal = CollectorJournal(tmp_path, "s1", capacity=50)
    journal.deltas(120)
    backlog = Backlog(tmp_path)
    backlog.look(0)
    assert backlog.events == 120
    assert backlog.record_bytes == journal.writer.position
    backlog.stored(journal.stream, 100, journal.writer.position)
    backlog.look(SECOND_NS)
    assert (backlog.events, backlog.record_bytes) == (20, 0)
    journal.end()


def test_its_age_is_that_of_the_oldest_and_ends_when_that_is_stored(tmp_path: Path) -> None:
    journal = CollectorJournal(tmp_path, "s1")
    backlog = Backlog(tmp_path)
    backlog.stored(journal.stream, 0, journal.writer.position)
    backlog.look(0)
    assert backlog.age_ms(5 * SECOND_NS) == 0
    journal.deltas(10)
    backlog.look(10 * SECOND_NS)
    journal.deltas(10)
    backlog.look(20 * SECOND_NS)
    assert backlog.age_ms(30 * SECOND_NS) == 20_000
    backlog.stored(journal.stream, 10, journal.writer.position)
    backlog.look(31 * SECOND_NS)  # the newer ones wait since they were last seen
    assert backlog.age_ms(31 * SECOND_NS) == 0
    backlog.stored(journal.stream, 20, journal.writer.position)
    backlog.look(40 * SECOND_NS)
    assert (backlog.events, backlog.age_ms(50 * SECOND_NS)) == (0, 0)
    journal.end()


def test_of_several_streams_the_oldest_counts(tmp_path: Path) -> None:
    first, second = (CollectorJournal(tmp_path, uid) for uid in ("s1", "s2"))
    backlog = Backlog(tmp_path)
    backlog.stored(second.stream, 0, second.writer.position)
    first.deltas(10)
    backlog.look(10 * SECOND_NS)
    second.deltas(5)
    backlog.look(20 * SECOND_NS)
    assert (backlog.events, backlog.age_ms(30 * SECOND_NS)) == (15, 20_000)
    first.end()
    second.end()


def test_a_journal_that_went_is_no_longer_counted(tmp_path: Path) -> None:
    journal = CollectorJournal(tmp_path, "s1")
    journal.deltas(10)
    backlog = Backlog(tmp_path)
    backlog.look(0)
    journal.end()
    for file in journal.folder.iterdir():
        file.unlink()
    journal.folder.rmdir()
    backlog.look(SECOND_NS)
    assert (backlog.events, backlog.record_bytes, backlog.age_ms(9 * SECOND_NS)) == (0, 0, 0)
