"""The five services' classes keep LlamaIndex's contract."""

from collections.abc import Mapping
from typing import Any, ClassVar

from llama_index_qaip import (
    PAIS,
    Dify,
    DifyConversation,
    DifyDatasetRetriever,
    Fireworks,
    FireworksEmbedding,
    FireworksRerank,
    PAISAgent,
    PAISEmbedding,
    PAISSearchRetriever,
    Perplexity,
    PerplexityAgent,
    PerplexitySearchRetriever,
    Qaip,
    QaipSearchRetriever,
)
from llama_index_qaip.errors import ServiceError
from llama_index_qaip.testing import (
    KEY,
    Contract,
    EmbeddingContract,
    LLMContract,
    QueryEngineContract,
    Request,
    RerankContract,
    RetrieverContract,
)

from .agents import AgentDialect, ConversationDialect, PAISAgentDialect
from .dialects import DifyDialect, FireworksDialect, PAISDialect, QaipDialect, SonarDialect
from .searches import DatasetDialect, PAISSearchDialect, QaipSearchDialect, WebSearchDialect


class Ours(Contract):
    """What the classes of this package have in common."""

    kind: ClassVar[type[Any]]
    needed: ClassVar[Mapping[str, Any]] = {}
    """The constructor arguments that the class cannot do without."""

    error_class = ServiceError
    retry_after_attribute = "retry_after"
    retryable_attribute = "is_retryable"
    partial_attribute = "partial_text"
    idle_field = "stream_idle_timeout"
    citation_switch = "citation_blocks"

    def make(self, url: str, **fields: Any) -> Any:
        return self.kind(**{"api_key": KEY, "base_url": url, **self.needed, **fields})


NAMED = {"model": "lamp-1"}


class OfQaip(Ours):
    kind = Qaip
    dialect = QaipDialect
    cites = True
    reports_usage = False
    reports_id = False
    parameter_field = "domains"
    parameter_values = (["one.example"], ["two.example"])


class OfFireworks(Ours):
    kind = Fireworks
    needed = NAMED
    dialect = FireworksDialect


class OfPAIS(Ours):
    kind = PAIS
    needed = NAMED
    dialect = PAISDialect


class OfPerplexity(Ours):
    kind = Perplexity
    needed = NAMED
    dialect = SonarDialect
    cites = True


class OfDify(Ours):
    kind = Dify
    dialect = DifyDialect
    cites = True
    cites_urls = False
    scores = True
    tells_roles = False
    parameter_field = "user"
    parameter_values = ("ada", "grace")


class OfPerplexityAgent(Ours):
    kind = PerplexityAgent
    needed: ClassVar[Mapping[str, Any]] = {**NAMED, "web_search": True}
    dialect = AgentDialect
    cites = True


class OfPAISAgent(Ours):
    kind = PAISAgent
    needed: ClassVar[Mapping[str, Any]] = {"agent_id": "harbour"}
    dialect = PAISAgentDialect
    cites = True
    scores = True


class OfDifyConversation(Ours):
    kind = DifyConversation
    dialect = ConversationDialect
    cites = True
    cites_urls = False
    scores = True
    tells_roles = False
    parameter_field = "user"
    parameter_values = ("ada", "grace")


class TestQaip(OfQaip, LLMContract):
    key_variables = ("QAIP_API_KEY",)


class TestFireworks(OfFireworks, LLMContract):
    has_text_endpoint = True
    key_variables = ("FIREWORKS_API_KEY",)
    calls_tools = True
    enforces_schemas = True
    reasons = True
    takes_images = True


class TestPAIS(OfPAIS, LLMContract):
    has_text_endpoint = True
    key_variables = ("PAIS_API_KEY",)
    needs_key = False
    reasons = True


class TestPerplexity(OfPerplexity, LLMContract):
    key_variables = ("PERPLEXITY_API_KEY", "PPLX_API_KEY")
    enforces_schemas = True
    reasons = True
    takes_images = True
    reports_cost = True

    def cost_of(self, response: Any) -> float:
        return float(response.raw["usage"]["cost"]["total_cost"])


class TestDify(OfDify, LLMContract):
    key_variables = ("DIFY_API_KEY",)
    is_chat_model = False
    takes_images = True
    reports_cost = True

    def cost_of(self, response: Any) -> float:
        return float(response.raw["usage"]["total_price"])


class TestPerplexityAgent(OfPerplexityAgent, LLMContract):
    key_variables = ("PERPLEXITY_API_KEY", "PPLX_API_KEY")
    calls_tools = True
    enforces_schemas = True
    takes_images = True
    reports_cost = True

    def cost_of(self, response: Any) -> float:
        return float(response.raw["usage"]["cost"]["total_cost"])

    def roles_of(self, request: Request) -> list[str]:
        return [item["role"] for item in request.body["input"]]


class TestPAISAgent(OfPAISAgent, LLMContract):
    has_text_endpoint = True
    key_variables = ("PAIS_API_KEY",)
    needs_key = False
    reasons = True


class TestDifyConversation(OfDifyConversation, LLMContract):
    key_variables = ("DIFY_API_KEY",)
    takes_images = True
    reports_cost = True

    def cost_of(self, response: Any) -> float:
        return float(response.raw["usage"]["total_price"])


class Retrievers(Ours, RetrieverContract):
    def make(self, url: str, **fields: Any) -> Any:
        return self.keep(super().make(url, **fields)).as_retriever()


class TestQaipRetriever(OfQaip, Retrievers):
    pass


class TestPerplexityRetriever(OfPerplexity, Retrievers):
    pass


class TestDifyRetriever(OfDify, Retrievers):
    pass


class TestPerplexityAgentRetriever(OfPerplexityAgent, Retrievers):
    pass


class TestPAISAgentRetriever(OfPAISAgent, Retrievers):
    pass


class TestDifyConversationRetriever(OfDifyConversation, Retrievers):
    pass


class TestQaipSearchRetriever(Ours, RetrieverContract):
    kind = QaipSearchRetriever
    dialect = QaipSearchDialect


class TestPerplexitySearchRetriever(Ours, RetrieverContract):
    kind = PerplexitySearchRetriever
    dialect = WebSearchDialect


class TestPAISSearchRetriever(Ours, RetrieverContract):
    kind = PAISSearchRetriever
    needed: ClassVar[Mapping[str, Any]] = {"knowledge_base_id": "coast", "index_id": "lamps"}
    dialect = PAISSearchDialect
    scores = True


class TestDifyDatasetRetriever(Ours, RetrieverContract):
    kind = DifyDatasetRetriever
    needed: ClassVar[Mapping[str, Any]] = {"dataset_id": "coast"}
    dialect = DatasetDialect
    cites_urls = False
    scores = True


class TestFireworksEmbedding(Ours, EmbeddingContract):
    kind = FireworksEmbedding
    needed = NAMED


class TestPAISEmbedding(Ours, EmbeddingContract):
    kind = PAISEmbedding
    needed = NAMED


class TestFireworksRerank(Ours, RerankContract):
    kind = FireworksRerank
    needed = NAMED


class QueryEngines(Ours, QueryEngineContract):
    prompt_key = "query_template"

    def make(self, url: str, streaming: bool = False, **fields: Any) -> Any:
        llm = self.keep(super().make(url, **fields))
        return llm.as_query_engine(streaming=streaming)


class TestQaipQueryEngine(OfQaip, QueryEngines):
    pass


class TestPerplexityQueryEngine(OfPerplexity, QueryEngines):
    pass


class TestDifyQueryEngine(OfDify, QueryEngines):
    pass


class TestPerplexityAgentQueryEngine(OfPerplexityAgent, QueryEngines):
    pass


class TestPAISAgentQueryEngine(OfPAISAgent, QueryEngines):
    pass


class TestDifyConversationQueryEngine(OfDifyConversation, QueryEngines):
    pass
