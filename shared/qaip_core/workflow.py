"""`Workflow`: what the classes of both frameworks that run a Dify workflow app have in common."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from qaip_core.backend import Endpoint
from qaip_core.backends.dify._calls import AppCalls
from qaip_core.backends.dify.app import DifyParameters, Variable
from qaip_core.backends.dify.workflow import EVENTS, RUN, DifyWorkflowParams, WorkflowEvent
from qaip_core.errors import InvalidParameterError
from qaip_core.service import Connected
from qaip_core.types import Completion

__all__ = ["Run", "Workflow", "arguments", "tool_name"]


@dataclass(frozen=True, slots=True)
class Run:
    """A run that ended.

    Parameters:
        outputs: what the app gives out, by its names.
        text: what it wrote while it ran, where it streams text.
        id: the run's id.
        status: "succeeded", "partial-succeeded", or what later servers have.
        metadata: what else the service says of it: task_id, elapsed_time, total_tokens, ...
    """

    outputs: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    id: str | None = None
    status: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Workflow(AppCalls, DifyWorkflowParams, Connected):
    """Runs a Dify workflow app.

    Parameters:
        output_key: the one output that is wanted, instead of all of them.
    """

    endpoint: ClassVar[Endpoint] = RUN

    output_key: str | None = None

    @property
    def _action(self) -> Endpoint:
        return self.endpoint

    def asked(self, inputs: Mapping[str, Any], call: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of one run: those of the object, overlaid by the call's own.

        Parameters:
            inputs: the app's variables, beside those of the object.
            call: further parameters.

        Raises:
            InvalidParameterError: the inputs are no mapping.
        """
        if not isinstance(inputs, Mapping):
            raise InvalidParameterError(
                f"a workflow takes its variables by name, as a dict, not {type(inputs).__name__}"
            )
        asked = self._overlaid(call)
        known = {**(self.variables or {}), **asked.pop("variables", {}), **inputs}
        return {**asked, "variables": known}

    def run_once(self, inputs: Mapping[str, Any], **call: Any) -> Run:
        """Return what the app makes of its variables.

        Parameters:
            inputs: the variables, beside those of the object.
            call: further parameters, for this run.

        Raises:
            ServerReportedError: the run failed or was stopped; see its ``partial``.
            ServiceError: see `qaip_core.errors`.
        """
        return _as_run(self.client.complete(RUN, "", self.asked(inputs, call)))

    async def arun_once(self, inputs: Mapping[str, Any], **call: Any) -> Run:
        """Do what `run_once` does, without blocking."""
        return _as_run(await self.async_client.complete(RUN, "", self.asked(inputs, call)))

    def events(
        self, inputs: Mapping[str, Any], **call: Any
    ) -> Generator[WorkflowEvent, None, None]:
        """Yield what happens in a run, as it happens; leaving it early stops the run.

        Parameters and errors: those of `run_once`.
        """
        with closing(self.client.stream(EVENTS, "", self.asked(inputs, call))) as increments:
            for increment in increments:
                if "event" in increment.metadata:
                    yield _as_event(increment.metadata["event"])

    def aevents(
        self, inputs: Mapping[str, Any], **call: Any
    ) -> AsyncGenerator[WorkflowEvent, None]:
        """Do what `events` does, without blocking."""
        return _Events(self.async_client.stream(EVENTS, "", self.asked(inputs, call)))

    def wanted(self, run: Run) -> Any:
        """Return the outputs of a run, or the one that ``output_key`` names.

        Raises:
            InvalidParameterError: there is none of that name.
        """
        if self.output_key is None:
            return dict(run.outputs)
        if self.output_key not in run.outputs:
            known = ", ".join(run.outputs) or "none"
            raise InvalidParameterError(
                f"the app gives out no {self.output_key!r} (output_key), but: {known}"
            )
        return run.outputs[self.output_key]

    def pieces(
        self, inputs: Mapping[str, Any], call: Mapping[str, Any]
    ) -> Generator[Any, None, None]:
        """Yield what a run gives out: text as it comes where ``output_key`` is set, else the whole.

        What comes adds up to what `wanted` returns, unless the app streams other text than it
        gives out at the end: then both come.
        """
        said = ""
        source = self.client.stream(RUN, "", self.asked(inputs, call))
        with closing(source) as increments:
            for increment in increments:
                if self.output_key is not None and increment.text:
                    said += increment.text
                    yield increment.text
                if increment.last:
                    yield from _rest(self.wanted(_as_run(increment)), said)

    async def apieces(
        self, inputs: Mapping[str, Any], call: Mapping[str, Any]
    ) -> AsyncGenerator[Any, None]:
        """Do what `pieces` does, without blocking."""
        said = ""
        source = self.async_client.stream(RUN, "", self.asked(inputs, call))
        async with aclosing(source) as increments:
            async for increment in increments:
                if self.output_key is not None and increment.text:
                    said += increment.text
                    yield increment.text
                if increment.last:
                    for rest in _rest(self.wanted(_as_run(increment)), said):
                        yield rest

    def input_model(self) -> type[BaseModel]:
        """Return a model of the app's variables, for tools (it asks the app: GET /parameters).

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        return arguments(self.parameters(), besides=self.variables or {})

    async def ainput_model(self) -> type[BaseModel]:
        """Do what `input_model` does, without blocking."""
        return arguments(await self.aparameters(), besides=self.variables or {})


def tool_name(name: str) -> str:
    """Return an app's name as models take it: letters, digits and underscores."""
    kept = "".join(c if c.isascii() and c.isalnum() else "_" for c in name).strip("_")
    return kept[:64] or "dify_workflow"


def _rest(wanted: Any, said: str) -> list[Any]:
    """Return what is left of an output whose beginning was told."""
    if not said or not isinstance(wanted, str):
        return [wanted]
    rest = wanted[len(said) :] if wanted.startswith(said) else wanted
    return [rest] if rest else []


class _Events(AsyncGenerator[WorkflowEvent, None]):
    """The events of a run, as they come.

    No generator function: an event loop that ends closes all async generators at once, so that
    one which awaits the end of another would find it running.
    """

    def __init__(self, increments: AsyncGenerator[Completion, None]) -> None:
        self._increments = increments

    async def __anext__(self) -> WorkflowEvent:
        while "event" not in (told := (await anext(self._increments)).metadata):
            pass
        return _as_event(told["event"])

    async def asend(self, value: None) -> WorkflowEvent:  # noqa: ARG002 -- nothing can be told
        return await anext(self)

    async def athrow(self, *error: Any) -> WorkflowEvent:
        await self._increments.aclose()
        raise error[0]


def _as_run(answer: Completion) -> Run:
    more = {k: v for k, v in answer.metadata.items() if k not in ("outputs", "status")}
    known = answer.metadata
    return Run(known.get("outputs", {}), answer.text, answer.id, known.get("status"), more)


def _as_event(body: Mapping[str, Any]) -> WorkflowEvent:
    data = body.get("data")
    run = body.get("workflow_run_id")
    return WorkflowEvent(str(body.get("event")), data if isinstance(data, dict) else {}, run)


_TYPES: Mapping[str, Any] = {"number": float, "checkbox": bool, "file": dict, "file-list": list}


def arguments(parameters: DifyParameters, *, besides: Mapping[str, Any]) -> type[BaseModel]:
    """Return a model of an app's variables.

    Parameters:
        parameters: what the app told.
        besides: the variables that are set already.
    """
    fields: Any = {v.name: _field(v) for v in parameters.form if v.name not in besides}
    return create_model("Variables", __config__=ConfigDict(protected_namespaces=()), **fields)


def _field(variable: Variable) -> tuple[Any, Any]:
    kind: Any = _TYPES.get(variable.type, str)
    if variable.type == "select" and variable.options:
        kind = Literal[variable.options]
    about = {"description": variable.label or variable.name, "max_length": variable.max_length}
    known: Any = {k: v for k, v in about.items() if v is not None}
    if variable.required:
        return kind, Field(**known)
    return kind | None, Field(default=None, **known)
