"""The time that answers take: to the first token, between tokens, and in silence."""

import asyncio
import random
from collections.abc import AsyncGenerator, Iterable
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .switches import reason

__all__ = ["Pace", "Physics"]

_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Physics(BaseModel):
    """How fast the sandbox answers.

    Args:
        first_token: The time before the first token of an answer, in seconds, 0 or more.
        tokens_per_second: The rate of the tokens after it, above 0; None for no wait at all.
        jitter: By which share of itself each wait may differ, 0 to 1.
        seed: What the jitter and the faults of some chance are drawn from: the same seed gives
            the same waits, and the same requests in the same order have the same faults.
        ping_every: The silence in a stream after which a service that sends keep-alives sends
            one, in seconds, above 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def checked(cls, **values: Any) -> Self:
        """Return a physics of these values.

        Raises:
            ValueError: one is out of range; the message names it.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise ValueError(reason(error)) from None

    first_token: _Seconds = 0.0
    tokens_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: int = 0
    ping_every: Annotated[float, Field(gt=0)] = 10.0


class Pace:
    """The waits of one answer.

    Args:
        physics: How fast answers are.
        number: Which answer of the sandbox this is: each has waits of its own.
    """

    def __init__(self, physics: Physics, number: int) -> None:
        self._physics = physics
        self._random = random.Random(physics.seed * 1_000_003 + number)  # noqa: S311 - no secret

    async def wait(self, tokens: int) -> None:
        """Wait as long as `tokens` tokens take, for an answer that is sent as a whole."""
        seconds = self._jittered(self._physics.first_token)
        seconds += sum(self._between() for _ in range(tokens - 1)) if self._paced else 0.0
        await asyncio.sleep(seconds)

    async def walk(self, frames: Iterable[bytes], ping: bytes) -> AsyncGenerator[bytes, None]:
        """Yield `frames` at this pace, with `ping` wherever the silence gets too long."""
        silence = self._jittered(self._physics.first_token)
        for frame in frames:
            while ping and silence > self._physics.ping_every:
                await asyncio.sleep(self._physics.ping_every)
                silence -= self._physics.ping_every
                yield ping
            await asyncio.sleep(silence)
            yield frame
            silence = self._between()

    @property
    def _paced(self) -> bool:
        return self._physics.tokens_per_second is not None

    def _between(self) -> float:
        rate = self._physics.tokens_per_second
        return self._jittered(1 / rate) if rate else 0.0

    def _jittered(self, seconds: float) -> float:
        share = self._physics.jitter
        return seconds * self._random.uniform(1 - share, 1 + share) if share else seconds
