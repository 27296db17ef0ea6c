"""Counts what is done in a thread: instructions and calls in our own packages, and heavy calls."""

import copy
import gc
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from types import CodeType, FrameType
from typing import Any, Self

from pydantic import BaseModel

__all__ = ["OURS", "Counted"]

OURS = ("qaip_core", "langchain_qaip", "llama_index_qaip")

# What is dear, and what it counts as. It is noted wherever ours has led to it.
_DEAR_CODE: Mapping[CodeType, str] = {
    json.JSONDecoder.raw_decode.__code__: "JSON decodes",
    json.JSONEncoder.iterencode.__code__: "JSON encodes",
    BaseModel.model_construct.__func__.__code__: "pydantic models",  # type: ignore[attr-defined]
    BaseModel.model_copy.__code__: "pydantic models",
    copy.deepcopy.__code__: "deep copies",
}
_DEAR_C: Mapping[str, str] = {
    "from_json": "JSON decodes",
    "validate_json": "JSON decodes",
    "validate_python": "pydantic models",
    "validate_assignment": "pydantic models",
    "to_python": "pydantic models",
}


class Counted:
    """What was done within a ``with`` block, by the thread that entered it.

    instructions: bytecode instructions of our functions, by function.
    calls: how often one of ours began or went on, and the C functions that ours called.
    anywhere: the Python functions that began or went on, whosesoever they are.
    dear: JSON decodes, pydantic models made or checked, deep copies; those below ours only.
    """

    def __init__(self) -> None:
        self.instructions: Counter[str] = Counter()
        self.calls = self.anywhere = 0
        self.dear: Counter[str] = Counter()
        self._codes: Counter[CodeType] = Counter()
        self._names: dict[CodeType, str] = {}

    def __enter__(self) -> Self:
        self._before = sys.gettrace(), sys.getprofile()
        gc.disable()  # it would run what others have left behind
        sys._getframe().f_trace_opcodes = True  # Python 3.12 and later want one such frame before
        sys.setprofile(self._profile)
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        trace, profile = self._before
        sys.settrace(trace)
        sys.setprofile(profile)
        gc.enable()
        for code, count in self._codes.items():
            self.instructions[self._names[code]] += count

    def _is_ours(self, frame: FrameType) -> bool:
        code = frame.f_code
        name = self._names.get(code)
        if name is None:
            # By the module, not the file: what dataclasses generate has none.
            module = frame.f_globals.get("__name__") or ""
            ours = module.partition(".")[0] in OURS
            name = self._names[code] = f"{module}:{code.co_qualname}" if ours else ""
        return bool(name)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        if not self._is_ours(frame):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._instruction

    def _instruction(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "opcode":
            self._codes[frame.f_code] += 1
        return self._instruction

    def _profile(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            self.anywhere += 1
            self.calls += self._is_ours(frame)
            dear = _DEAR_CODE.get(frame.f_code)
        elif event == "c_call":
            self.calls += self._is_ours(frame)
            dear = _DEAR_C.get(arg.__name__)
        else:
            return
        if dear and self._is_below_ours(frame):
            self.dear[dear] += 1

    def _is_below_ours(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if self._is_ours(frame):
                return True
            frame = frame.f_back
        return False
