"""Marks are not lost: what the journal refuses waits in order."""

from __future__ import annotations

from support.collector_rig import START_NS, CollectorRig

from ipc.messages import MarkKind, SessionEnded, SessionStarted


def test_a_session_begins_with_its_start_and_ends_with_its_end(tmp_path):
    with CollectorRig(tmp_path) as rig:
        rig.session.end(START_NS + 1)
        first, last = rig.messages()[0], rig.messages()[-1]
        assert isinstance(first, SessionStarted)
        assert first.session_uid == rig.session.facts.uid
        assert last == SessionEnded(ended_ns=START_NS + 1, event_no=0)


def test_a_refused_mark_waits_and_keeps_its_place(tmp_path):
    with CollectorRig(tmp_path) as rig:
        rig.session._records._writer._max_bytes = 0
        rig.session.mark(MarkKind.GAP, None, START_NS)
        rig.session.mark(MarkKind.DISCONNECTED, None, START_NS)
        assert rig.marks() == []
        rig.session._records._writer._max_bytes = 1 << 20
        rig.session.mark(MarkKind.CONNECTED, None, START_NS)
        assert [kind for kind, _ in rig.marks()] == ["gap", "disconnected", "connected"]
