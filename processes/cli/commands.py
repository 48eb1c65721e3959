"""The commands of `kalshi-actor`: what each is for, an example, and the module that does it.

`kalshi-actor evaluate ...` is `python -m models.evaluate ...`: a module is named, and is imported
when its command is used. So asking for help is quick, and a command changes in one place.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["COMMANDS", "CliCommand"]


class CliCommand(NamedTuple):
    """One command.

    Attributes:
        what: What it is for, in a line of `--help`.
        module: What `python -m` would run.
        examples: Whole lines that a user may type.
        is_program: Whether it takes no arguments and goes on until it is stopped, so that it must
            not be started to find out how a word may go on.
    """

    what: str
    module: str
    examples: tuple[str, ...]
    is_program: bool = False


COMMANDS: Final = {
    "run": CliCommand(
        "start the whole stack in the foreground; Ctrl-C stops it",
        "processes.cli.run",
        ("kalshi-actor run", "RL_ACTOR_STRATEGY=baseline:random kalshi-actor run --data-dir /data"),
    ),
    "check": CliCommand(
        "could the stack run, and trade? --connect asks the exchange; starts nothing",
        "processes.check",
        (
            "kalshi-actor check",
            "kalshi-actor check --connect --environment demo",
            "kalshi-actor check --protocol FOLDER",
        ),
    ),
    "exchange": CliCommand(
        "the local exchange alone, in the foreground",
        "processes.exchange",
        ("kalshi-actor exchange", "RL_EXCHANGE_REPLAY=FOLDER kalshi-actor exchange"),
        is_program=True,
    ),
    "markets": CliCommand(
        "the markets that are followed, or would be, and why",
        "processes.collector.markets_command",
        (
            "kalshi-actor markets",
            "kalshi-actor markets --look --json",
            "kalshi-actor markets --programs",
        ),
    ),
    "sessions": CliCommand(
        "list, show, verify, archive, import or delete recorded sessions",
        "processes.recorder.sessions",
        ("kalshi-actor sessions list --json", "kalshi-actor sessions verify latest"),
    ),
    "verify": CliCommand(
        "is what was recorded what the local exchange sent?",
        "processes.recorder.verify",
        ("kalshi-actor verify --session latest",),
    ),
    "train": CliCommand(
        "train a policy on recordings, archives or stored sessions",
        "models.train",
        (
            "kalshi-actor train --recordings FOLDER --timesteps 3000000 --out runs/mine",
            "kalshi-actor train --session all --environment production --out runs/mine",
        ),
    ),
    "export": CliCommand(
        "turn a trained policy into a model that the actor can run",
        "models.export_onnx",
        ("kalshi-actor export runs/mine/model.zip --out var/models/mine",),
    ),
    "evaluate": CliCommand(
        "how policies do on recorded markets: net dollars, fees and settlement in",
        "models.evaluate",
        (
            "kalshi-actor evaluate --recordings FOLDER --policy onnx:mine --policy baseline:hold",
            "kalshi-actor evaluate --session latest --report runs/mine/report",
        ),
    ),
    "models": CliCommand(
        "list models; make one live, or let it decide beside the live one",
        "models.registry",
        (
            "kalshi-actor models list --json",
            "kalshi-actor models promote mine",
            "kalshi-actor models rollback",
        ),
    ),
    "trading": CliCommand(
        "pause, resume, stop or flatten trading; how it stands; why an order was what it was",
        "processes.execution.trading",
        (
            "kalshi-actor trading status",
            'kalshi-actor trading stop --why "odd quotes"',
            "kalshi-actor trading flatten --collar 3 --slice 5 --deadline 120",
            "kalshi-actor trading resume",
            "kalshi-actor trading why INTENT",
        ),
    ),
    "funds": CliCommand(
        "money on the exchange's shards; move it from one to another",
        "processes.execution.funds",
        (
            "kalshi-actor funds list --json",
            "kalshi-actor funds move 250.00 --from 0 --to 2",
        ),
    ),
    "parity": CliCommand(
        "does replaying the recording reproduce every live decision?",
        "models.parity",
        ("kalshi-actor parity latest",),
    ),
    "settings": CliCommand(
        "print every variable of the environment that is read, with its default",
        "processes.cli.settings",
        ("kalshi-actor settings", "kalshi-actor settings --environment demo > .env"),
    ),
    "completion": CliCommand(
        "print what makes a shell complete these commands",
        "processes.cli.completion",
        ('eval "$(kalshi-actor completion bash)"',),
    ),
}
