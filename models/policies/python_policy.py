"""A user's own strategy: one class in one file, behind the interface of a policy.

`python:my_module.MyPolicy` names it. The module is looked for where Python looks for modules, and
in the folder `strategies` of the data folder. docs/strategies.md has a complete example.

What such code does wrong is a `StrategyError` in one line, with the place in its file: at the start
the program refuses to run, later the decision becomes HOLD.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import sysconfig
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

import numpy as np

from ipc.errors import KalshiActorError
from models.observation.builder import BUILDERS, Builder
from models.policies.interface import Decisions, Observations
from models.trading.actions import N_ACTIONS, Mask

__all__ = ["FOLDER", "FORM", "PythonPolicy", "StrategyError", "load_python"]

FOLDER: Final = "strategies"  # of the data folder
KIND: Final = "python"
FORM: Final = f"{KIND}:<module>.<class>"
MOST_TEXT: Final = 200  # characters of another's error message
_LIBRARIES: Final = ("stdlib", "platstdlib", "purelib", "platlib")
_NOT_THE_USERS: Final = (__file__, *(sysconfig.get_path(name) for name in _LIBRARIES))


class StrategyError(KalshiActorError, ValueError):
    """A strategy that cannot be loaded, or that failed: which, what, and where in its file."""


def load_python(name: str, *, seed: int = 0, data_dir: Path) -> PythonPolicy:
    """Load a strategy by the path of its class, and let it answer once.

    Args:
        name: `<module>.<class>`; the module may be in packages.
        seed: Given to a class whose `__init__` has a parameter of this name.
        data_dir: Folder of the stack; its `strategies` is searched last.

    Raises:
        StrategyError: No such module or class, an error in its code, or another interface.
    """
    model = f"{KIND}:{name}"
    module_name, _, class_name = name.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in name.split(".")):
        raise StrategyError(f"{model} names no class in a module; allowed: {FORM}")
    module = _module(model, module_name, data_dir / FOLDER)
    made = _made(model, _class(model, module, class_name), seed)
    policy = PythonPolicy(model, made, _hash(model, module, seed))
    policy.try_out()
    return policy


class PythonPolicy:
    """A user's object as a policy: named, hashed, and every answer checked.

    Args:
        model: `python:<module>.<class>`.
        made: Has `builder` and `decide`, as `models.policies.interface.Policy` describes them.
        model_hash: 16 hex digits of its source.

    Raises:
        StrategyError: It has another interface.
    """

    def __init__(self, model: str, made: Any, model_hash: str) -> None:
        self.model = model
        self.model_hash = model_hash
        self._decide = getattr(made, "decide", None)
        if not callable(self._decide):
            raise StrategyError(f"{model} has no method decide(observations, masks)")
        builder = getattr(made, "builder", None)
        if not isinstance(builder, Builder):
            allowed = ", ".join(f"builder_of({schema!r})" for schema in BUILDERS)
            raise StrategyError(f"{model}: builder is {_short(builder)}; allowed: {allowed}")
        self.builder = builder

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """Ask the user's code; see `Policy.decide`.

        Raises:
            StrategyError: It raised, or gave something else than decisions.
        """
        try:
            answer = self._decide(observations, masks)  # type: ignore[misc]
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever another's code raises
            _fail(self.model, error)
        return self._checked(answer, len(observations))

    def try_out(self) -> None:
        """Let it answer for one market and for two.

        Raises:
            StrategyError: As of `decide`.
        """
        for count in (1, 2):
            observations = np.zeros((count, self.builder.size), np.float32)
            self.decide(observations, np.ones((count, N_ACTIONS), np.bool_))

    def _checked(self, answer: Any, count: int) -> Decisions:
        """The answer with the types that everything else reads."""
        try:
            actions, logits, values = answer
            actions, logits = np.asarray(actions), np.asarray(logits, np.float32)
            values = None if values is None else np.asarray(values, np.float32)
        except (TypeError, ValueError):
            self._refuse(f"{_short(answer)}; allowed: Decisions(actions, logits, values)")
        if actions.shape != (count,) or actions.dtype.kind not in "iu":
            self._refuse(f"actions {_form(actions)}; allowed: int64[{count}]")
        if not ((actions >= 0) & (actions < N_ACTIONS)).all():
            self._refuse(f"actions {actions.tolist()}; allowed: 0 to {N_ACTIONS - 1}")
        if logits.shape != (count, N_ACTIONS):
            self._refuse(f"logits {_form(logits)}; allowed: float32[{count}, {N_ACTIONS}]")
        if values is not None and values.shape != (count,):
            self._refuse(f"values {_form(values)}; allowed: None, float32[{count}]")
        return Decisions(actions.astype(np.int64), logits, values)

    def _refuse(self, found: str) -> NoReturn:
        raise StrategyError(f"{self.model}: decide gave {found}")


def _module(model: str, name: str, folder: Path) -> ModuleType:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # last: it hides no module of ours or of Python's
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise StrategyError(
                f"{model}: no module {error.name!r} in {folder} or on PYTHONPATH"
            ) from None
        _fail(model, error)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever another's code raises
        _fail(model, error)


def _class(model: str, module: ModuleType, name: str) -> type:
    found = getattr(module, name, None)
    if isinstance(found, type):
        return found
    if found is not None:
        raise StrategyError(f"{model}: {name} of {module.__name__} is {_short(found)}, no class")
    own = [n for n, v in vars(module).items() if _is_own_class(v, module)]
    raise StrategyError(
        f"{model}: module {module.__name__!r} has no class {name!r}; "
        f"allowed: {', '.join(own) or 'none, it has no class'}"
    )


def _is_own_class(value: object, module: ModuleType) -> bool:
    return isinstance(value, type) and value.__module__ == module.__name__


def _made(model: str, found: type, seed: int) -> Any:
    try:
        takes_seed = "seed" in inspect.signature(found).parameters
        return found(seed=seed) if takes_seed else found()
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever another's code raises
        _fail(model, error)


def _hash(model: str, module: ModuleType, seed: int) -> str:
    """Of the module's source, its name and the seed: another text is another model."""
    source = b""
    if module.__file__ is not None and Path(module.__file__).is_file():
        source = Path(module.__file__).read_bytes()
    return hashlib.sha256(f"{model}:{seed}:".encode() + source).hexdigest()[:16]


def _fail(model: str, error: BaseException) -> NoReturn:
    """One line: what was raised, and the innermost place in the user's own code."""
    file, line, text = "", 0, str(error)
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith((*_NOT_THE_USERS, "<")):
            file, line = frame.filename, frame.lineno or 0
    if isinstance(error, SyntaxError):
        file, line, text = error.filename or "", error.lineno or 0, error.msg
    where = f" ({Path(file).name} line {line})" if file else ""
    text = " ".join(text.split())[:MOST_TEXT]
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    raise StrategyError(f"{model}: {what}{where}") from error


def _short(value: object) -> str:
    return " ".join(repr(value).split())[:MOST_TEXT]


def _form(array: np.ndarray[Any, Any]) -> str:
    return f"{array.dtype}{list(array.shape)}"
