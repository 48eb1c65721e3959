"""The one exception that every error of this project derives from.

KalshiActorError
├── ConfigError          a setting that cannot be used (processes.runtime.config)
├── ModelError           a model that must not run (models.policies.onnx)
├── SessionError         a recorded session that cannot be used (models.simulation.tape)
└── ...                  each beside what raises it
"""

from __future__ import annotations

__all__ = ["KalshiActorError"]


class KalshiActorError(Exception):
    """An error that this project raises on purpose; its text is one line for a person.

    Commands print that line and exit with 2. Anything else that reaches a command is a fault of the
    program and keeps its traceback.
    """
