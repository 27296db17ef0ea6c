"""LangChain's own suites, whole, for every model, retriever, tool and embedding, over the sandbox.

Flags say what a service itself lacks; nothing is marked as an expected failure.
"""

import base64
import sys
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, create_retriever_tool
from langchain_tests.integration_tests import (
    ChatModelIntegrationTests,
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    ToolsIntegrationTests,
)
from langchain_tests.unit_tests import ChatModelUnitTests, EmbeddingsUnitTests, ToolsUnitTests

import langchain_qaip as ours
from qaip_sandbox import Sandbox
from qaip_sandbox.protocols.dify.knowledge import DATASET
from qaip_sandbox.protocols.pais.bases import Base

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"])]  # nothing leaves this machine

_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
# LangChain's `load` knows the classes of its own packages only; users pass `allowed_objects`.
_KNOWN = sys.modules["langchain_core.load.load"].ALL_SERIALIZABLE_MAPPINGS  # type: ignore[attr-defined]
for _name in (name for name in ours.__all__ if name.startswith("Chat")):
    _id = tuple(getattr(ours, _name).lc_id())
    _KNOWN[_id] = _id


@pytest.fixture(autouse=True)
def _reached(
    _alone: None, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Every model reaches the sandbox by its environment; pictures come from no network."""
    if not isinstance(request.instance, ChatModelUnitTests | EmbeddingsUnitTests):
        for name, value in sandbox.env.items():
            monkeypatch.setenv(name, value)

    def get(url: str, **_: Any) -> httpx.Response:
        return httpx.Response(200, content=_PNG)

    monkeypatch.setattr(httpx, "get", get)


ALL_DOCUMENTS = Base("", ())


class _Chat:
    """What holds for all: with or without the service's help."""

    supports_json_mode = True

    @pytest.fixture
    def vcr(self) -> SimpleNamespace:
        """Let the timing test run against the sandbox, without a recording."""
        return SimpleNamespace(responses=["not recorded: served"])

    enable_vcr_tests = True


class _Qaip(_Chat):
    chat_model_class = ours.ChatQaip
    chat_model_params: dict[str, Any] = {}
    has_tool_calling = has_tool_choice = False
    returns_usage_metadata = False
    supports_model_override = False
    keys = {"QAIP_API_KEY": "key-of-env"}


class _PAIS(_Chat):
    chat_model_class: type[Any] = ours.ChatPAIS
    chat_model_params: dict[str, Any] = {"model": "extractive"}
    has_tool_calling = has_tool_choice = False
    model_override_value = "another"
    keys = {"PAIS_API_KEY": "key-of-env", "PAIS_BASE_URL": "https://pais.example.com"}


class _Dify(_Chat):
    chat_model_class: type[Any] = ours.ChatDify
    chat_model_params: dict[str, Any] = {}
    has_tool_calling = has_tool_choice = False
    supports_model_override = False
    supports_image_inputs = supports_image_urls = supports_pdf_inputs = True
    keys = {"DIFY_API_KEY": "key-of-env"}


class _Perplexity(_Chat):
    chat_model_class = ours.ChatPerplexity
    chat_model_params = {"model": "sonar"}
    has_tool_calling = has_tool_choice = False
    model_override_value = "sonar-pro"
    supports_image_inputs = supports_image_urls = supports_pdf_inputs = True
    keys = {"PERPLEXITY_API_KEY": "key-of-env"}


class _Fireworks(_Chat):
    chat_model_class = ours.ChatFireworks
    chat_model_params = {"model": "accounts/sandbox/models/extractive"}
    model_override_value = "accounts/sandbox/models/another"
    supports_image_inputs = supports_image_urls = True
    supports_anthropic_inputs = True
    keys = {"FIREWORKS_API_KEY": "key-of-env"}


class _PerplexityAgent(_Chat):
    chat_model_class = ours.ChatPerplexityAgent
    chat_model_params = {"model": "perplexity/sonar", "web_search": True}
    model_override_value = "openai/gpt-6-luna"
    supports_image_inputs = supports_image_urls = supports_pdf_inputs = True
    supports_anthropic_inputs = True
    keys = {"PERPLEXITY_API_KEY": "key-of-env"}


class _PAISAgent(_PAIS):
    chat_model_class = ours.ChatPAISAgent
    chat_model_params = {
        "agent_id": ALL_DOCUMENTS.agent_id,
        "stream_options": {"include_usage": True},
    }
    supports_model_override = False  # an agent has a model of its own


class _DifyConversation(_Dify):
    chat_model_class = ours.ChatDifyConversation


class _Unit(ChatModelUnitTests):
    keys: dict[str, str]

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return self.keys, self.chat_model_params, {"api_key": "key-of-env"}

    @pytest.fixture(autouse=True)
    def _environment(self, _reached: None, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in self.keys.items():
            monkeypatch.setenv(name, value)


class TestChatQaipUnit(_Qaip, _Unit):
    pass


class TestChatPAISUnit(_PAIS, _Unit):
    pass


class TestChatDifyUnit(_Dify, _Unit):
    pass


class TestChatPerplexityUnit(_Perplexity, _Unit):
    pass


class TestChatFireworksUnit(_Fireworks, _Unit):
    pass


class TestChatPerplexityAgentUnit(_PerplexityAgent, _Unit):
    pass


class TestChatPAISAgentUnit(_PAISAgent, _Unit):
    pass


class TestChatDifyConversationUnit(_DifyConversation, _Unit):
    pass


class TestChatQaip(_Qaip, ChatModelIntegrationTests):
    pass


class TestChatPAIS(_PAIS, ChatModelIntegrationTests):
    pass


class TestChatDify(_Dify, ChatModelIntegrationTests):
    pass


class TestChatPerplexity(_Perplexity, ChatModelIntegrationTests):
    pass


class TestChatFireworks(_Fireworks, ChatModelIntegrationTests):
    pass


class TestChatPerplexityAgent(_PerplexityAgent, ChatModelIntegrationTests):
    pass


class TestChatPAISAgent(_PAISAgent, ChatModelIntegrationTests):
    pass


class TestChatDifyConversation(_DifyConversation, ChatModelIntegrationTests):
    pass


class _Retriever(RetrieversIntegrationTests):
    retriever_constructor = ours.CitationRetriever
    retriever_query_example = "What do the documents say about lamps?"
    model: type[Any]
    params: dict[str, Any] = {}

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"model": self.model(**self.params)}


class TestQaipRetriever(_Retriever):
    model = ours.ChatQaip


class TestPerplexityRetriever(_Retriever):
    model = ours.ChatPerplexity
    params = {"model": "sonar"}


class TestDifyRetriever(_Retriever):
    model = ours.ChatDify


class TestPerplexityAgentRetriever(_Retriever):
    model = ours.ChatPerplexityAgent
    params = _PerplexityAgent.chat_model_params


class TestPAISAgentRetriever(_Retriever):
    model = ours.ChatPAISAgent
    params = _PAISAgent.chat_model_params


class TestDifyConversationRetriever(_Retriever):
    model = ours.ChatDifyConversation


class _Search(RetrieversIntegrationTests):
    """A search finds what it finds without asking a model."""

    retriever_query_example = _Retriever.retriever_query_example
    retriever_constructor_params: dict[str, Any] = {}


class TestQaipSearchRetriever(_Search):
    retriever_constructor = ours.QaipSearchRetriever


class TestQAIPRetriever(_Search):
    retriever_constructor = ours.QAIPRetriever


class TestPerplexitySearchRetriever(_Search):
    retriever_constructor = ours.PerplexitySearchRetriever


class TestPAISSearchRetriever(_Search):
    retriever_constructor = ours.PAISSearchRetriever
    retriever_constructor_params = {
        "knowledge_base_id": ALL_DOCUMENTS.id,
        "index_id": ALL_DOCUMENTS.index_id,
    }


class TestDifyDatasetRetriever(_Search):
    retriever_constructor = ours.DifyDatasetRetriever
    retriever_constructor_params = {"dataset_id": DATASET}


class _Tool:
    """The sources of an answer as a tool."""

    tool_invoke_params_example = {"query": _Retriever.retriever_query_example}
    model: type[Any]
    params: dict[str, Any] = {}

    @property
    def retriever(self) -> BaseRetriever:
        found: BaseRetriever = self.model(**self.params).as_retriever(k=2)
        return found

    @property
    def tool_constructor(self) -> BaseTool:
        return create_retriever_tool(
            self.retriever,
            "search",
            "Searches the documents.",
            response_format="content_and_artifact",
        )


class _SearchTool(_Tool):
    """What a search finds as a tool."""

    search: type[Any]

    @property
    def retriever(self) -> BaseRetriever:
        params = self.search.retriever_constructor_params
        found: BaseRetriever = self.search.retriever_constructor(k=2, **params)
        return found


class _QaipTool(_Tool):
    model = ours.ChatQaip


class _PerplexityTool(_Tool):
    model = ours.ChatPerplexity
    params = {"model": "sonar"}


class _DifyTool(_Tool):
    model = ours.ChatDify


class _PerplexityAgentTool(_Tool):
    model = ours.ChatPerplexityAgent
    params = _PerplexityAgent.chat_model_params


class _PAISAgentTool(_Tool):
    model = ours.ChatPAISAgent
    params = _PAISAgent.chat_model_params


class _DifyConversationTool(_Tool):
    model = ours.ChatDifyConversation


class _QaipSearchTool(_SearchTool):
    search = TestQaipSearchRetriever


class _PAISSearchTool(_SearchTool):
    search = TestPAISSearchRetriever


class _DifyDatasetTool(_SearchTool):
    search = TestDifyDatasetRetriever


class _PerplexitySearchTool(_Tool):
    tool_constructor = ours.PerplexitySearchTool  # type: ignore[assignment]  # not by a retriever
    tool_constructor_params = {"max_results": 2}


class TestQaipToolUnit(_QaipTool, ToolsUnitTests):
    pass


class TestQaipTool(_QaipTool, ToolsIntegrationTests):
    pass


class TestPerplexityToolUnit(_PerplexityTool, ToolsUnitTests):
    pass


class TestPerplexityTool(_PerplexityTool, ToolsIntegrationTests):
    pass


class TestDifyToolUnit(_DifyTool, ToolsUnitTests):
    pass


class TestDifyTool(_DifyTool, ToolsIntegrationTests):
    pass


class TestPerplexityAgentToolUnit(_PerplexityAgentTool, ToolsUnitTests):
    pass


class TestPerplexityAgentTool(_PerplexityAgentTool, ToolsIntegrationTests):
    pass


class TestPAISAgentToolUnit(_PAISAgentTool, ToolsUnitTests):
    pass


class TestPAISAgentTool(_PAISAgentTool, ToolsIntegrationTests):
    pass


class TestDifyConversationToolUnit(_DifyConversationTool, ToolsUnitTests):
    pass


class TestDifyConversationTool(_DifyConversationTool, ToolsIntegrationTests):
    pass


class TestQaipSearchToolUnit(_QaipSearchTool, ToolsUnitTests):
    pass


class TestQaipSearchTool(_QaipSearchTool, ToolsIntegrationTests):
    pass


class TestPAISSearchToolUnit(_PAISSearchTool, ToolsUnitTests):
    pass


class TestPAISSearchTool(_PAISSearchTool, ToolsIntegrationTests):
    pass


class TestDifyDatasetToolUnit(_DifyDatasetTool, ToolsUnitTests):
    pass


class TestDifyDatasetTool(_DifyDatasetTool, ToolsIntegrationTests):
    pass


class TestPerplexitySearchToolUnit(_PerplexitySearchTool, ToolsUnitTests):
    pass


class TestPerplexitySearchTool(_PerplexitySearchTool, ToolsIntegrationTests):
    pass


class _FireworksEmbeddings:
    embeddings_class = ours.FireworksEmbeddings
    embedding_model_params = {"model": "accounts/sandbox/models/embedding"}
    keys = {"FIREWORKS_API_KEY": "key-of-env"}


class _PAISEmbeddings:
    embeddings_class = ours.PAISEmbeddings
    embedding_model_params = {"model": "sandbox-embeddings"}
    keys = {"PAIS_API_KEY": "key-of-env", "PAIS_BASE_URL": "https://pais.example.com"}


class _EmbeddingsUnit(EmbeddingsUnitTests):
    keys: dict[str, str]

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return self.keys, self.embedding_model_params, {"api_key": "key-of-env"}

    @pytest.fixture(autouse=True)
    def _environment(self, _reached: None, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in self.keys.items():
            monkeypatch.setenv(name, value)


class TestFireworksEmbeddingsUnit(_FireworksEmbeddings, _EmbeddingsUnit):
    pass


class TestFireworksEmbeddings(_FireworksEmbeddings, EmbeddingsIntegrationTests):
    pass


class TestPAISEmbeddingsUnit(_PAISEmbeddings, _EmbeddingsUnit):
    pass


class TestPAISEmbeddings(_PAISEmbeddings, EmbeddingsIntegrationTests):
    pass
