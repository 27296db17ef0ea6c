"""The answers of Fireworks, whole and streamed."""

import time
from collections.abc import Iterator, Mapping, Sequence

from qaip_sandbox._wire import Json, event, interleave, request_id

from .chat import Chat
from .choice import Choice
from .probabilities import Logprobs
from .sampling import Sampling
from .shapes import ChatShape, Extras, Shape, TextShape
from .switches import FireworksSwitches

__all__ = ["Reply"]


class Reply:
    """One answer.

    Args:
        request: What it answers.
        switches: How the service behaves.
        prompt: The tokens of all prompts.
        choices: What it says.
        metrics: Figures that go into the body, if the request wants them there.
    """

    def __init__(
        self,
        request: Sampling,
        switches: FireworksSwitches,
        prompt: int,
        choices: Sequence[Choice],
        metrics: Mapping[str, Json],
    ) -> None:
        self._request = request
        self._switches = switches
        self._prompt = prompt
        self._choices = choices
        self._metrics = {"perf_metrics": metrics} if request.perf_metrics_in_response else {}
        self._chat = isinstance(request, Chat)
        self._extras = _extras(request, switches)
        self._shape: Shape = ChatShape(self._extras) if self._chat else TextShape(self._extras)
        random = request_id()
        short = self._chat and switches.facts.details
        self.id = f"chatcmpl-{random.replace('-', '')}" if short else random
        self._created = int(time.time())

    def whole(self) -> Json:
        """Return the answer as one object."""
        choices = [self._shape.whole(n, choice) for n, choice in enumerate(self._choices)]
        return {
            **self._envelope(self._shape.whole_kind),
            "choices": choices,
            "usage": self._usage(self._total),
            **self._metrics,
            **self._prompt_ids(),
        }

    def events(self) -> Iterator[bytes]:
        """Yield the answer as the events of a stream."""
        envelope = self._envelope(self._shape.part_kind)
        used, more = 0, self._prompt_ids()
        columns = (self._shape.parts(n, choice) for n, choice in enumerate(self._choices))
        for choice in interleave(columns):
            usage = None
            if choice["finish_reason"]:
                used += self._choices[choice["index"]].count
                usage, more = self._usage_at_the_end(used), {**more, **self._metrics}
            yield event({**envelope, "choices": [choice], "usage": usage, **more})
            more = {}
        if self._trails:
            none: Json = {} if self._switches.trailing_choices == "missing" else {"choices": []}
            yield event({**envelope, **none, "usage": self._usage(self._total)})
        if self._switches.done:
            yield b"data: [DONE]\n\n"

    @property
    def _total(self) -> int:
        return sum(choice.count for choice in self._choices)

    @property
    def _trails(self) -> bool:
        options = self._request.stream_options
        wanted = options is not None and options.include_usage
        return wanted and self._switches.usage in ("trailing", "both")

    def _usage_at_the_end(self, used: int) -> Json:
        if self._switches.usage not in ("finish", "both"):
            return None
        return self._usage(self._total if self._switches.usage_of_choices == "equal" else used)

    def _prompt_ids(self) -> Json:
        return self._extras.ids("prompt_token_ids", self._choices[0].prompt) if self._chat else {}

    def _envelope(self, kind: str) -> dict[str, Json]:
        return {
            "id": self.id,
            "object": kind,
            "created": self._created,
            "model": self._request.model,
        }

    def _usage(self, count: int) -> Json:
        counts: Json = {
            "prompt_tokens": self._prompt,
            "total_tokens": self._prompt + count,
            "completion_tokens": count,
        }
        if self._switches.facts.details:
            cached = min(self._switches.cached, self._prompt)
            counts["prompt_tokens_details"] = {"cached_tokens": cached}
        return counts


def _extras(request: Sampling, switches: FireworksSwitches) -> Extras:
    facts = switches.facts
    return Extras(
        switches,
        Logprobs(
            request.logprobs,
            request.top_logprobs,
            legacy=facts.only_legacy_logprobs,
            sampling=facts.details,
        ),
        raw_output=bool(request.raw_output),
        token_ids=bool(request.return_token_ids),
    )
