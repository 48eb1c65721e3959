"""The model that decides and the one that shadows it, and how others take their places.

With `RL_ACTOR_STRATEGY=registry` the registry's state is looked at ten times a second. What it
names is loaded and warmed in a thread and takes over between two batches: no tick waits for it.
What cannot run is counted and said, and the old one stays.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from ipc.messages import ActorModels
from models.observation.builder import BUILDERS
from models.policies.interface import Policy
from models.policies.live_model import Entry, Stamp, load_entry, read_active, stamp_of
from models.policies.onnx import ModelError
from processes.inference.decide import Decider
from processes.inference.histories import Histories
from processes.inference.strategy import REGISTRY, differences
from processes.runtime.config import Settings
from processes.runtime.log import Log

__all__ = ["Models"]

LOOK: Final = 0.1  # seconds between looks for another state of the registry


class Models:
    """`live` decides; `shadow`, where there is one, decides the same and sends nothing."""

    def __init__(self, settings: Settings, policy: Policy, counts: Counter[str], log: Log) -> None:
        self._settings = settings
        self._counts = counts
        self._log = log
        self._stamp: Stamp | None = None
        self._past_faults = 0
        self._past_shadow_faults = 0
        self.follows = settings.actor.strategy == REGISTRY
        self.histories = Histories(BUILDERS.values() if self.follows else (policy.builder,))
        self.live = self._decider(policy, enabled=settings.actor.enabled)
        self.shadow: Decider | None = None

    @property
    def faults(self) -> int:
        """Of every model that was live."""
        return self._past_faults + self.live.faults

    @property
    def shadow_faults(self) -> int:
        """Of every model that shadowed."""
        return self._past_shadow_faults + (0 if self.shadow is None else self.shadow.faults)

    @property
    def roles(self) -> ActorModels:
        """Who decides now, and who shadows it."""
        live = self.live.policy
        shadow = None if self.shadow is None else self.shadow.policy
        return ActorModels(
            live=live.model,
            live_hash=live.model_hash,
            shadow=None if shadow is None else shadow.model,
            shadow_hash=None if shadow is None else shadow.model_hash,
        )

    async def follow(self) -> None:
        """For ever: look whether the registry changed, and let its models take over."""
        while True:
            stamp = stamp_of(self._settings.data_dir)
            if stamp != self._stamp:
                self._stamp = stamp
                await self._take_over()
            await asyncio.sleep(LOOK)

    async def _take_over(self) -> None:
        """What fails stays as it is until the next command."""
        try:
            if self._stamp is None:
                raise ModelError("registry: its state is gone")
            active = read_active(self._settings.data_dir)
        except ModelError as error:
            self._refuse(error)
            return
        await self._switch_live(active.live)
        if not self._is_overtaken():
            await self._switch_shadow(active.shadow)

    def _is_overtaken(self) -> bool:
        """Whether another command came meanwhile: what it took back must not decide even once."""
        return stamp_of(self._settings.data_dir) != self._stamp

    async def _switch_live(self, entry: Entry) -> None:
        if _is(entry, self.live):
            return
        decider = await self._loaded(entry, enabled=self._settings.actor.enabled)
        if decider is None:
            return
        was, self.live = self.live, decider
        self._past_faults += was.faults
        self._counts["model_switches"] += 1
        self._say("model_switched", decider, was=was.policy.model, was_hash=was.policy.model_hash)

    async def _switch_shadow(self, entry: Entry | None) -> None:
        if self.shadow is not None and (entry is None or not _is(entry, self.shadow)):
            self._log("shadow_ended", model=self.shadow.policy.model)
            self._past_shadow_faults += self.shadow.faults
            self.shadow = None
        if entry is None or self.shadow is not None:
            return
        # Also beside an actor that is off: what it decides moves no money.
        self.shadow = await self._loaded(entry, enabled=True)
        if self.shadow is not None:
            self._say("shadow_begun", self.shadow)

    def _say(self, action: str, decider: Decider, **facts: object) -> None:
        policy = decider.policy
        self._log(action, model=policy.model, hash=policy.model_hash, **facts)
        for name, how in differences(policy, self._settings.actor).items():
            self._log.warning("settings_differ_from_training", **{name: how})

    async def _loaded(self, entry: Entry, *, enabled: bool) -> Decider | None:
        """A model that has already answered once, None where it cannot or is wanted no longer."""
        try:
            decider = await asyncio.to_thread(self._load, entry, enabled)
        except Exception as error:  # noqa: BLE001  whatever it is, the old model goes on
            self._refuse(error)
            return None
        if self._is_overtaken():
            self._log.warning("model_overtaken", model=decider.policy.model)
            return None
        return decider

    def _load(self, entry: Entry, enabled: bool) -> Decider:
        """Away from the loop: touches nothing that a decision uses."""
        return self._decider(load_entry(entry, self._settings.data_dir), enabled=enabled)

    def _decider(self, policy: Policy, *, enabled: bool) -> Decider:
        actor = self._settings.actor
        decider = Decider(
            policy,
            self.histories,
            enabled=enabled,
            warmup_ticks=actor.warmup_ticks,
            pricing=actor.pricing,
            contract_size_e2=actor.contract_size_e2,
            log=self._log,
        )
        decider.warm()
        return decider

    def _refuse(self, error: Exception) -> None:
        self._counts["models_refused"] += 1
        self._log.warning("model_refused", error=error, live=self.live.policy.model)


def _is(entry: Entry, decider: Decider) -> bool:
    """Whether these are the same bytes under the same name."""
    policy = decider.policy
    theirs = (policy.model, policy.model_hash)
    return theirs == (f"onnx:{entry.model_id}", entry.onnx_sha256[: len(policy.model_hash)])
