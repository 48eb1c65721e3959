"""Inference with a user's own strategy: the same gates, records and intents; its faults."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.actor_rig import acting, settings_of

from processes.inference.models import strategy_of
from processes.runtime.config import ConfigError


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        ("python:nowhere_there.Mine", "no module 'nowhere_there' in "),
        ("python:Mine", "python:Mine names no class in a module"),
        ("python:", "unknown strategy 'python:'; allowed: onnx:<model>, "),
    ],
)
def test_what_cannot_run_is_refused_at_the_start(tmp_path: Path, strategy: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        strategy_of(settings_of(tmp_path, RL_ACTOR_STRATEGY=strategy))
    message = str(caught.value)
    assert message.startswith(f"RL_ACTOR_STRATEGY='{strategy}': ")
    assert says in message
    assert "\n" not in message


async def test_a_user_s_strategy_decides_like_any_other_and_its_fault_costs_one_decision(
    tmp_path: Path,
) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "mine_live.py").write_text(
        "import numpy as np\n"
        "from models.observation.builder import builder_of\n"
        "from models.policies.interface import Decisions\n"
        "from models.trading.actions import masked_argmax\n"
        "class Mine:\n"
        "    builder = builder_of('OBSERVATION_V2')\n"
        "    asked = 0\n"
        "    def decide(self, observations, masks):\n"
        "        self.asked += observations.any()\n"  # not by the trial at the start
        "        if self.asked == 3:\n"  # the first is of the warming up
        "            raise SystemExit('enough')\n"
        "        logits = np.zeros((len(observations), 5), np.float32)\n"
        "        logits[:, 1] = 1\n"
        "        return Decisions(masked_argmax(logits, masks), logits, None)\n"
    )
    async with acting(tmp_path, RL_ACTOR_STRATEGY="python:mine_live.Mine") as rig:
        collector = await rig.start()
        found = []
        for at_ms in (250, 500, 750, 1_000):
            collector.tick(at_ms)
            found.append(await rig.action())
        policy_fault = [(a.action_name, a.reason) for a in found]
        assert sorted(set(policy_fault)) == [("BUY_YES_LIMIT", "policy"), ("HOLD", "policy fault")]
        assert policy_fault.count(("HOLD", "policy fault")) == 1
        assert rig.service.counters["policy_faults"] == 1
        assert {a.model for a in found} == {"python:mine_live.Mine"}
        (intent, *_) = [await rig.intent() for _ in range(3)]
        assert intent.action_name == "BUY_YES_LIMIT"
        (fault,) = [facts for action, facts in rig.log.lines if action == "policy_fault"]
        assert "SystemExit: enough (mine_live.py line 11)" in str(fault["error"])
