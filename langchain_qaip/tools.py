"""Tools for agents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

from langchain_core.callbacks import (
    AsyncCallbackManagerForToolRun,
    CallbackManagerForToolRun,
)
from langchain_core.documents import Document
from langchain_core.tools import ArgsSchema, BaseTool, ToolException

from langchain_qaip._connected import Translated
from langchain_qaip._messages import to_documents
from langchain_qaip.errors import as_langchain
from qaip_core.backends.perplexity.search import (
    SEARCH,
    TOOL,
    SearchArguments,
    SearchParams,
    arguments,
    as_text,
)
from qaip_core.errors import ServiceError
from qaip_core.service import Found, Searching

__all__ = ["PerplexitySearchTool"]


class PerplexitySearchTool(SearchParams, Translated, Searching, BaseTool):
    """Lets an agent search the web through Perplexity's Search API.

    The model gets numbered passages as text; the same passages are Documents in the
    ``artifact`` of the tool's message, in the same order: ``[n]`` is ``artifact[n - 1]``.

    A filter that is set here is not the model's to choose: it leaves the arguments that the
    model sees, and holds whatever the model says.

    Arguments of the model that cannot be used are told to it by agents (they are validation
    errors). Errors of the service are raised, typed, as those of a chat model are, so that
    middleware can repeat what may pass; ``handle_tool_error=True`` tells them to the model
    instead.

    Parameters:
        api_key: or the environment variable PERPLEXITY_API_KEY, or PPLX_API_KEY.
        base_url: or PERPLEXITY_BASE_URL.

    The others are those of `qaip_core.backends.perplexity.search.SearchParams`, of
    `qaip_core.connection.Connection`, and LangChain's for tools.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.perplexity.ai/api-reference/search-post
    """

    operation = SEARCH
    count_name: ClassVar[str] = "max_results"

    name: str = TOOL["name"]
    description: str = TOOL["description"]
    args_schema: ArgsSchema | None = SearchArguments
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"

    @property
    def tool_call_schema(self) -> ArgsSchema:
        """What the model is told of the arguments."""
        return arguments(self._fixed)

    @property
    def _fixed(self) -> frozenset[str]:
        fields = vars(self)
        names = SearchArguments.model_fields
        return frozenset(name for name in names if fields.get(name) is not None)

    def _run(
        self,
        query: str,
        run_manager: CallbackManagerForToolRun | None = None,  # noqa: ARG002 -- LangChain's
        **said: Any,
    ) -> tuple[str, list[Document]]:
        with self._failing():
            return _shown(self.search(query, **self._chosen(said)))

    async def _arun(
        self,
        query: str,
        run_manager: AsyncCallbackManagerForToolRun | None = None,  # noqa: ARG002 -- LangChain's
        **said: Any,
    ) -> tuple[str, list[Document]]:
        with self._failing():
            return _shown(await self.asearch(query, **self._chosen(said)))

    def _chosen(self, said: dict[str, Any]) -> dict[str, Any]:
        """Return those of the model's arguments that are its to choose."""
        fixed = self._fixed
        return {name: value for name, value in said.items() if name not in fixed}

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Raise errors as LangChain's, and as a tool's where these are handled."""
        try:
            with as_langchain():
                yield
        except ServiceError as error:
            if not self.handle_tool_error:
                raise
            raise ToolException(error.message) from error


def _shown(found: Found) -> tuple[str, list[Document]]:
    """Return what was found as text for the model, and as Documents."""
    documents = to_documents(found)
    return as_text((d.metadata, d.page_content) for d in documents), documents
