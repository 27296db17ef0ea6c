"""What Dify offers beside completion apps: conversations, workflows, knowledge bases."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig, RunnableSerializable

from langchain_qaip._chat import ChatModel
from langchain_qaip._citing import Citing
from langchain_qaip._connected import Translated
from langchain_qaip._searching import SearchRetriever
from langchain_qaip.errors import as_langchain
from qaip_core import Message
from qaip_core.backends.dify._calls import ConversationCalls
from qaip_core.backends.dify.chat import CHAT, DifyConversationParams
from qaip_core.backends.dify.datasets import RETRIEVE, DatasetParams
from qaip_core.backends.dify.workflow import WorkflowEvent
from qaip_core.workflow import Workflow, tool_name

if TYPE_CHECKING:  # few workflows become tools
    from langchain_core.tools import BaseTool
    from pydantic import BaseModel

__all__ = ["ChatDifyConversation", "DifyDatasetRetriever", "DifyWorkflow"]


class ChatDifyConversation(DifyConversationParams, ConversationCalls, Citing, ChatModel):
    """Chats with a Dify chat, agent or chatflow app, which keeps the conversation.

    The id of the conversation comes with the answer, and a later call goes on with it::

        first = chat.invoke("How long does a refund take?")
        conversation = first.response_metadata["conversation_id"]
        chat.invoke("And by card?", conversation_id=conversation)

    With an id, only what the user said last is sent, since the service knows the rest. Without
    one a new conversation begins: messages of an earlier one are written into its first query.
    Sources come only if "Citations and Attributions" is switched on in the app.

    Parameters:
        api_key: the app's key, or the environment variable DIFY_API_KEY.
        base_url: or DIFY_BASE_URL; it includes /v1.
        conversation_id: the conversation that goes on with every call.
        resume: whether a call without an id goes on with the conversation of the last answer
            among its messages, as far as they still hold its metadata; default False.

    The others are those of `DifyConversationParams`. Model and sampling are set in the app: model,
    temperature and max_tokens are not sent, ``stop`` cuts the answer here.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.dify.ai/api-reference/chat/send-chat-message
    """

    endpoint = CHAT

    resume: bool = False

    def _asked(
        self, messages: Sequence[BaseMessage], values: dict[str, Any]
    ) -> tuple[list[Message], dict[str, Any]]:
        if self.resume and "conversation_id" not in values:
            known = _conversation(messages)
            values = {**values, "conversation_id": known} if known else values
        return super()._asked(messages, values)


def _conversation(messages: Sequence[BaseMessage]) -> str | None:
    """Return the conversation that the last answer belongs to."""
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            known = message.response_metadata.get("conversation_id")
            return known if isinstance(known, str) else None
    return None


class DifyDatasetRetriever(DatasetParams, SearchRetriever):
    """Finds passages in a knowledge base of Dify, without an app or a model.

    Every parameter may also be given to one call: ``retriever.invoke(query, k=3)``.

    Parameters:
        dataset_id: the knowledge base, a UUID.
        k: how many Documents to return at most, at least 1; the knowledge base's own number is
            4 where nothing else is set in it.
        api_key: a key for knowledge bases (apps have others), or the environment variable
            DIFY_DATASET_API_KEY.
        base_url: or DIFY_BASE_URL; it includes /v1.

    The others are those of `qaip_core.backends.dify.datasets.DatasetParams`.

    Returns:
        Documents, best first: ``id`` is that of the segment, ``page_content`` its text (of a
        question its answer too), ``metadata`` the document's name as title, document_id,
        doc_metadata, child_chunks, rank, and the score where the service gives one.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.dify.ai/api-reference/datasets/retrieve-chunks-from-a-knowledge-base-test-retrieval
    """

    operation = RETRIEVE
    count_name: ClassVar[str] = "top_k"


class DifyWorkflow(Workflow, Translated, RunnableSerializable[dict[str, Any], Any]):
    """Runs a Dify workflow app: a dict of variables in, a dict of outputs out.

    ``stream`` yields the text of the app as it comes where ``output_key`` is set, else the outputs
    at the end. `events` yields all that happens; leaving either early stops the run. Agents get it
    by `as_tool`.

    Parameters:
        api_key: the app's key, or the environment variable DIFY_API_KEY.
        base_url: or DIFY_BASE_URL; it includes /v1.
        variables: variables of every run, beside its own.
        output_key: the one output that is wanted, instead of the dict of all.

    The others are those of `DifyWorkflowParams`; all may also be given to one call.

    Raises:
        ServerReportedError: the run failed or was stopped; see its ``partial``.
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.dify.ai/api-reference/workflow-execution/execute-workflow
    """

    def invoke(
        self,
        input: dict[str, Any],  # noqa: A002 -- the framework's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the outputs of a run, or the one that ``output_key`` names.

        Parameters:
            input: the app's variables.
            config: LangChain's, with callbacks and tags.
            kwargs: parameters of the service, for this run.
        """

        def run(variables: dict[str, Any]) -> Any:
            with as_langchain():
                return self.wanted(self.run_once(variables, **kwargs))

        return self._call_with_config(run, input, config, run_type="chain")

    async def ainvoke(
        self,
        input: dict[str, Any],  # noqa: A002 -- the framework's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Do what `invoke` does, without blocking."""

        async def run(variables: dict[str, Any]) -> Any:
            with as_langchain():
                return self.wanted(await self.arun_once(variables, **kwargs))

        return await self._acall_with_config(run, input, config, run_type="chain")

    def stream(
        self,
        input: dict[str, Any],  # noqa: A002 -- the framework's name
        config: RunnableConfig | None = None,
        **kwargs: Any | None,
    ) -> Iterator[Any]:
        """Yield the text of a run as it comes, or its outputs; see `invoke`."""

        def run(inputs: Iterator[dict[str, Any]]) -> Iterator[Any]:
            with as_langchain():
                for variables in inputs:
                    with closing(self.pieces(variables, kwargs)) as pieces:
                        yield from pieces

        chunks = self._transform_stream_with_config(iter([input]), run, config, run_type="chain")
        yield from chunks

    async def astream(
        self,
        input: dict[str, Any],  # noqa: A002 -- the framework's name
        config: RunnableConfig | None = None,
        **kwargs: Any | None,
    ) -> AsyncIterator[Any]:
        """Yield the text of a run as it comes, or its outputs; see `invoke`."""

        async def run(inputs: AsyncIterator[dict[str, Any]]) -> AsyncGenerator[Any, None]:
            with as_langchain():
                async for variables in inputs:
                    async with aclosing(self.apieces(variables, kwargs)) as pieces:
                        async for piece in pieces:
                            yield piece

        async def given() -> AsyncIterator[dict[str, Any]]:
            yield input

        chunks: Any = self._atransform_stream_with_config(given(), run, config, run_type="chain")
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def as_tool(
        self,
        args_schema: type[BaseModel] | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        arg_types: dict[str, type] | None = None,
    ) -> BaseTool:
        """Return a tool that lets an agent run the app; what is not given, the app is asked now.

        Parameters:
            args_schema: a model of the variables, such as `input_model` returns.
            name: what the tool is called; the app's own name where it is not given.
            description: what the model is told of it; the app's own where it is not given.
            arg_types: LangChain's other way to give types of the variables.

        Raises:
            ServiceError: see `langchain_qaip.errors`.
        """
        if not (name and description):
            about = self.info()
            name = name or tool_name(about.name)
            description = description or about.description or about.name
        schema = args_schema or (None if arg_types else self.input_model())
        return super().as_tool(schema, name=name, description=description, arg_types=arg_types)

    def events(
        self, inputs: Mapping[str, Any], **call: Any
    ) -> Generator[WorkflowEvent, None, None]:
        """Yield what happens in a run, as it happens; leaving it early stops the run.

        Parameters:
            inputs: the app's variables.
            call: parameters of the service, for this run.
        """
        with as_langchain(), closing(super().events(inputs, **call)) as events:
            yield from events

    async def aevents(
        self, inputs: Mapping[str, Any], **call: Any
    ) -> AsyncGenerator[WorkflowEvent, None]:
        """Do what `events` does, without blocking."""
        with as_langchain():
            async with aclosing(super().aevents(inputs, **call)) as events:
                async for event in events:
                    yield event
