"""Facts about objects in place of text."""

# ruff: noqa: S101 -- a test is made of asserts

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from llama_index_qaip.testing._bench import CHATS, Bench
from llama_index_qaip.testing._contract import Contract, good_practice, needs
from llama_index_qaip.testing._recording import recording
from llama_index_qaip.testing._script import Answer, Call

__all__ = ["StructureFacts"]


class Lamp(BaseModel):
    """A lamp on the coast."""

    place: str
    metres: int


class Town(BaseModel):
    """A town, which may have a twin; nothing but the name is required."""

    name: str
    twin: Town | None = None
    population: int = 0


_BROKEN = '{"name": "Oslo", "twin": {"name": "Bergen"}, population: 5}'
_LAMP = Lamp(place="Skagen", metres=46)
_WRITTEN = _LAMP.model_dump_json()
_WHOLE = ("structured_predict", "astructured_predict")
_STREAMED = ("stream_structured_predict", "astream_structured_predict")
_PROMPT = PromptTemplate("Which lamp is by {town}?")
every_form = pytest.mark.parametrize("form", _WHOLE + _STREAMED)
every_whole_form = pytest.mark.parametrize("form", _WHOLE)
every_streamed_form = pytest.mark.parametrize("form", _STREAMED)


class StructureFacts(Contract):
    """How an LLM answers with objects.

    Attributes:
        enforces_schemas: whether the service is sent the schema as such, not in the prompt.
    """

    enforces_schemas: ClassVar[bool] = False

    def structured(self, written: str, name: str = Lamp.__name__, end: Any = "well") -> Answer:
        """Return the answer of a service that writes an object: text, or a call of a tool."""
        if getattr(self, "calls_tools", False) and not self.enforces_schemas:
            call = Call(name, written)
            return Answer(pieces=("",), calls=(call,), finish="tool_calls", end=end)
        middle = len(written) // 2
        return self.answer(pieces=(written[:middle], written[middle:]), end=end)

    @every_form
    def test_an_object_is_predicted(self, bench: Bench, form: str) -> None:
        bench.service.answers(self.structured(_WRITTEN))
        assert _predicted(bench, form) == _LAMP.model_dump()
        assert bench.service.requests[0].says("Which lamp is by Skagen?")

    @every_form
    def test_the_prediction_has_its_events(self, bench: Bench, form: str) -> None:
        bench.service.answers(self.structured(_WRITTEN))
        with recording() as record:
            _predicted(bench, form)
        assert len(record.of("LLMStructuredPredictStartEvent")) == 1
        (end,) = record.of("LLMStructuredPredictEndEvent")
        assert end.output.model_dump() == _LAMP.model_dump()
        progress = record.of("LLMStructuredPredictInProgressEvent")
        assert bool(progress) is ("stream" in form)
        assert record.open_spans == []

    @every_form
    @needs(enforces_schemas=True)
    def test_the_schema_is_sent_as_such(self, bench: Bench, form: str) -> None:
        bench.service.answers(self.structured(_WRITTEN))
        _predicted(bench, form)
        (request,) = bench.service.requests
        assert "metres" in json.dumps(_without_messages(request.body))

    @every_whole_form
    @pytest.mark.parametrize("written", ["{}", '{"place": "Ska', "I know no lamp."])
    def test_an_invalid_object_raises(self, bench: Bench, form: str, written: str) -> None:
        bench.service.answers(self.structured(written))
        failure = bench.fails(bench.make(), form, Lamp, _PROMPT, town="Skagen")
        assert isinstance(failure.error, ValueError)

    @every_whole_form
    def test_an_object_inside_a_broken_one_is_not_taken_for_it(
        self, bench: Bench, form: str
    ) -> None:
        bench.service.answers(self.structured(_BROKEN, Town.__name__))
        failure = bench.fails(bench.make(), form, Town, _PROMPT, town="Oslo")
        assert isinstance(failure.error, ValueError)

    @every_streamed_form
    @good_practice
    def test_a_streamed_object_that_is_invalid_raises(self, bench: Bench, form: str) -> None:
        for kind, written in ((Lamp, '{"place": "Ska'), (Town, _BROKEN)):
            bench.service.answers(self.structured(written, kind.__name__))
            failure = bench.fails(bench.make(), form, kind, _PROMPT, town="Skagen")
            assert isinstance(failure.error, ValueError)

    @pytest.mark.parametrize("how", ["close", "break"])
    @every_streamed_form
    def test_leaving_a_streamed_object_frees_its_connection(
        self, bench: Bench, form: str, how: str
    ) -> None:
        bench.service.answers(self.structured('{"place": "Skagen", "met', end="silence"))
        assert bench.frees(how, bench.make(), form, Lamp, _PROMPT, town="Skagen")

    @pytest.mark.filterwarnings("ignore:The `json` method")  # LlamaIndex calls it
    @pytest.mark.parametrize("call", [*CHATS, "complete", "acomplete"])
    def test_a_structured_llm_answers_with_the_object(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.structured(_WRITTEN))
        llm = bench.make().as_structured_llm(Lamp)
        answer = bench.last(call, llm=llm)
        assert answer.raw.model_dump() == _LAMP.model_dump()

    @needs(reasons=True)
    def test_reasoning_is_no_part_of_the_object(self, bench: Bench) -> None:
        answer = self.structured(_WRITTEN)
        bench.service.answers(self.answer(pieces=answer.pieces, calls=answer.calls, reasoning="{?"))
        assert _predicted(bench, "structured_predict") == _LAMP.model_dump()


def _predicted(bench: Bench, form: str) -> Any:
    given = bench.call(bench.make(), form, Lamp, _PROMPT, town="Skagen")
    return (given[-1] if "stream" in form else given).model_dump()


def _without_messages(body: Any) -> Any:
    return {k: v for k, v in body.items() if k not in ("messages", "prompt", "tools")}
