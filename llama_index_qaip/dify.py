"""What Dify offers beside completion apps: conversations, workflows, knowledge bases."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict

from llama_index_qaip._citing import CitingLLM
from llama_index_qaip._searching import SearchRetriever
from qaip_core.backend import Endpoint
from qaip_core.backends.dify._calls import ConversationCalls
from qaip_core.backends.dify.chat import CHAT, DifyConversationParams
from qaip_core.backends.dify.datasets import RETRIEVE, DatasetParams
from qaip_core.workflow import Run, Workflow, tool_name

if TYPE_CHECKING:  # few workflows become tools
    from llama_index.core.tools import FunctionTool
    from pydantic import BaseModel

    from qaip_core.backends.dify.app import DifyInfo

__all__ = ["DifyConversation", "DifyDatasetRetriever", "DifyWorkflow"]


class DifyConversation(DifyConversationParams, ConversationCalls, CitingLLM):
    """A Dify chat, agent or chatflow app, which keeps the conversation, with its sources.

    The id of the conversation comes with the answer, and a later call goes on with it::

        first = llm.chat(messages)
        conversation = first.additional_kwargs["conversation_id"]
        llm.chat(more, conversation_id=conversation)

    With an id, only what the user said last is sent, since the service knows the rest. Without
    one a new conversation begins: messages of an earlier one are written into its first query.

    Service page: https://docs.dify.ai/api-reference/chat/send-chat-message

    Parameters:
        api_key: the app's key; read from ``DIFY_API_KEY`` where it is not given.
        base_url: where the service is; ``DIFY_BASE_URL``, else the vendor's address.
        conversation_id: the conversation that goes on with every call.
        model, temperature, max_tokens: accepted and not sent.
        stop: sequences at which the answer is cut on this side.

    All others are those of `qaip_core.backends.dify.chat.DifyConversationParams`.

    Raises:
        MissingKeyError: there is no key.
        ConfigurationError: the base URL or a parameter cannot be used.
    """

    endpoint: ClassVar[Endpoint] = CHAT


class DifyDatasetRetriever(DatasetParams, SearchRetriever):
    """Finds passages in a knowledge base of Dify, without an app or a model.

    A node's id is that of the segment, its text that of the segment (of a question its answer
    too); its metadata holds the document's name as title, document_id, doc_metadata,
    child_chunks and rank. Economy indexes give no scores.

    Service page: https://docs.dify.ai/api-reference/datasets/retrieve-chunks-from-a-knowledge-base-test-retrieval

    Parameters:
        dataset_id: the knowledge base, a UUID; required.
        similarity_top_k: how many nodes to return at most, at least 1; the knowledge base's own
            number is 4 where nothing else is set in it.
        api_key: a key for knowledge bases (apps have others); read from
            ``DIFY_DATASET_API_KEY`` where it is not given.
        base_url: where the service is; ``DIFY_BASE_URL``, else the vendor's address.

    All others are those of `qaip_core.backends.dify.datasets.DatasetParams`.

    Raises:
        MissingKeyError: there is no key.
        ConfigurationError: the base URL or a parameter cannot be used.
    """

    operation = RETRIEVE
    count_name: ClassVar[str] = "top_k"


class DifyWorkflow(Workflow):
    """Runs a Dify workflow app; an agent may have it as a tool.

    Service page: https://docs.dify.ai/api-reference/workflow-execution/execute-workflow

    Parameters:
        api_key: the app's key; read from ``DIFY_API_KEY`` where it is not given.
        base_url: where the service is; ``DIFY_BASE_URL``, else the vendor's address.
        variables: variables of every run, beside its own.
        output_key: the one output that `stream` and tools want, instead of all of them.

    All others are those of `qaip_core.backends.dify.workflow.DifyWorkflowParams`.

    Raises:
        MissingKeyError: there is no key.
        ConfigurationError: the base URL or a parameter cannot be used.
    """

    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        protected_namespaces=(),
        defer_build=True,
    )

    def run(self, inputs: Mapping[str, Any], **call: Any) -> Run:
        """Return what the app makes of its variables.

        Parameters:
            inputs: the variables, beside those of the object.
            call: parameters of the service, for this run.

        Raises:
            ServerReportedError: the run failed or was stopped; see its ``partial``.
            ServiceError: see `llama_index_qaip.errors`.
        """
        return self.run_once(inputs, **call)

    async def arun(self, inputs: Mapping[str, Any], **call: Any) -> Run:
        """Do what `run` does, without blocking."""
        return await self.arun_once(inputs, **call)

    def stream(self, inputs: Mapping[str, Any], **call: Any) -> Generator[Any, None, None]:
        """Yield the text of a run as it comes where ``output_key`` is set, else its outputs.

        Leaving it early stops the run. Parameters and errors: those of `run`.
        """
        return self.pieces(inputs, call)

    def astream(self, inputs: Mapping[str, Any], **call: Any) -> AsyncGenerator[Any, None]:
        """Do what `stream` does, without blocking."""
        return self.apieces(inputs, call)

    def as_tool(self, *, name: str | None = None, description: str | None = None) -> FunctionTool:
        """Return a tool that lets an agent run the app; it asks the app for its form now.

        Parameters:
            name: what the tool is called; the app's own name where it is not given.
            description: what the model is told of it; the app's own where it is not given.

        Raises:
            ServiceError: see `llama_index_qaip.errors`.
        """
        return self._tool(self.info(), self.input_model(), name, description)

    async def aas_tool(
        self, *, name: str | None = None, description: str | None = None
    ) -> FunctionTool:
        """Do what `as_tool` does, without blocking."""
        return self._tool(await self.ainfo(), await self.ainput_model(), name, description)

    def _tool(
        self,
        about: DifyInfo,
        variables: type[BaseModel],
        name: str | None,
        description: str | None,
    ) -> FunctionTool:
        from llama_index.core.tools import FunctionTool

        def run(**variables: Any) -> Any:
            return self.wanted(self.run_once(variables))

        async def arun(**variables: Any) -> Any:
            return self.wanted(await self.arun_once(variables))

        return FunctionTool.from_defaults(
            fn=run,
            async_fn=arun,
            name=name or tool_name(about.name),
            description=description or about.description or about.name,
            fn_schema=variables,
        )
