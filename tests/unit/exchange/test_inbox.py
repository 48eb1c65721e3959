"""Commands that come together are carried out in an order of the exchange's own."""

from __future__ import annotations

from processes.exchange.shared.connections import shuffled


def test_twelve_are_carried_out_as_it_was_seen() -> None:
    ids = [str(n) for n in range(1, 13)]
    assert shuffled(list(ids)) == ["2", "4", "3", "6", "5", "1", "8", "9", "7", "12", "11", "10"]


def test_none_is_lost_and_none_stays_first() -> None:
    for count in range(2, 40):
        commands = [str(n) for n in range(count)]
        found = shuffled(list(commands))
        assert sorted(found) == sorted(commands)
        assert found[0] != commands[0]
    assert shuffled(["only"]) == ["only"]
