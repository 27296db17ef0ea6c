"""LangChain's own suites, whole, for every chat model, retriever and tool, over the sandbox.

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
    RetrieversIntegrationTests,
    ToolsIntegrationTests,
)
from langchain_tests.unit_tests import ChatModelUnitTests, ToolsUnitTests

import langchain_qaip as ours
from qaip_sandbox import Sandbox

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"])]  # nothing leaves this machine

_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
# LangChain's `load` knows the classes of its own packages only; users pass `allowed_objects`.
_KNOWN = sys.modules["langchain_core.load.load"].ALL_SERIALIZABLE_MAPPINGS  # type: ignore[attr-defined]
for _name in ours.chat_models.__all__:
    _id = tuple(getattr(ours, _name).lc_id())
    _KNOWN[_id] = _id


@pytest.fixture(autouse=True)
def _reached(
    _alone: None, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Every model reaches the sandbox by its environment; pictures come from no network."""
    if not isinstance(request.instance, ChatModelUnitTests):
        for name, value in sandbox.env.items():
            monkeypatch.setenv(name, value)

    def get(url: str, **_: Any) -> httpx.Response:
        return httpx.Response(200, content=_PNG)

    monkeypatch.setattr(httpx, "get", get)


class _Chat:
    """What holds for all five: with or without the service's help."""

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
    chat_model_class = ours.ChatPAIS
    chat_model_params = {"model": "extractive"}
    has_tool_calling = has_tool_choice = False
    model_override_value = "another"
    keys = {"PAIS_API_KEY": "key-of-env", "PAIS_BASE_URL": "https://pais.example.com"}


class _Dify(_Chat):
    chat_model_class = ours.ChatDify
    chat_model_params: dict[str, Any] = {}
    has_tool_calling = has_tool_choice = False
    supports_model_override = False
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


class _Tool:
    tool_invoke_params_example = {"query": _Retriever.retriever_query_example}
    model: type[Any]
    params: dict[str, Any] = {}

    @property
    def tool_constructor(self) -> BaseTool:
        retriever: BaseRetriever = self.model(**self.params).as_retriever(k=2)
        return create_retriever_tool(
            retriever, "search", "Searches the documents.", response_format="content_and_artifact"
        )


class _QaipTool(_Tool):
    model = ours.ChatQaip


class _PerplexityTool(_Tool):
    model = ours.ChatPerplexity
    params = {"model": "sonar"}


class _DifyTool(_Tool):
    model = ours.ChatDify


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
