"""The five services' classes keep LlamaIndex's contract."""

from typing import Any, ClassVar

from llama_index_qaip import PAIS, Dify, Fireworks, Perplexity, Qaip, ServiceLLM
from llama_index_qaip.errors import ServiceError
from llama_index_qaip.testing import (
    KEY,
    Contract,
    LLMContract,
    QueryEngineContract,
    RetrieverContract,
)

from .dialects import DifyDialect, FireworksDialect, PAISDialect, QaipDialect, SonarDialect


class Ours(Contract):
    """What the classes of this package have in common."""

    kind: ClassVar[type[ServiceLLM]]
    error_class = ServiceError
    retry_after_attribute = "retry_after"
    retryable_attribute = "is_retryable"
    partial_attribute = "partial_text"
    idle_field = "stream_idle_timeout"
    citation_switch = "citation_blocks"

    def make(self, url: str, **fields: Any) -> Any:
        named = {} if self.kind in (Qaip, Dify) else {"model": "lamp-1"}
        return self.kind(**{"api_key": KEY, "base_url": url, **named, **fields})


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
    dialect = FireworksDialect


class OfPAIS(Ours):
    kind = PAIS
    dialect = PAISDialect


class OfPerplexity(Ours):
    kind = Perplexity
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
