"""The vendors' own defects: which of their calls fail, and as what that shows."""

import re
from dataclasses import dataclass

__all__ = ["VENDOR_DEFECTS", "Defect"]


@dataclass(frozen=True)
class Defect:
    """A defect of a vendor's client.

    `calls` is a pattern of the ids of the calls that it spoils; `words` say what is wrong with the
    client; `shows_as` is part of what the judge finds.
    """

    oracle: str
    calls: str
    words: str
    shows_as: str

    def spoils(self, oracle: str, call: str) -> bool:
        """Say whether this is the defect to expect in a call."""
        return self.oracle == oracle and re.fullmatch(self.calls, call) is not None


_NO_COST = "1 validation error for CompletionResponseOutput\nusage.cost\n  Field required"

VENDOR_DEFECTS = (
    *(
        Defect(
            f"fireworks-ai {version}",
            r"wrong_key\[.* envelope=html\]",
            "a refusal that is no JSON, as proxies send it, ends in an error of the JSON parser",
            "JSONDecodeError",
        )
        for version in ("0.6.0", "0.9.0")
    ),
    Defect(
        "qaip 0.18.1",
        r"completion_stream\[.*",
        "it cannot stream: it reads the whole stream and takes it for one JSON answer",
        "Expected Content-Type response header to be `application/json`",
    ),
    Defect(
        "qaip 0.18.1",
        r"search\[.* sparse=True\]",
        "when strict, it insists on fields that its service's own sample of a result lacks",
        "2 validation errors for SearchResponse\nresults.0.file_type\n  Field required",
    ),
    Defect(
        "perplexityai 0.46.1",
        r"chat(_async)?\[perplexity (seed|2025-07)\]",
        "when strict, it insists on the cost, which the service did not tell before August 2025",
        _NO_COST,
    ),
    Defect(
        "perplexityai 0.46.1",
        r"chat_streamed(_async)?\[perplexity (seed|2025-..|2026-01)\]",
        "when strict, it insists on a cost in every chunk, which only the last one had until 2026",
        _NO_COST,
    ),
    Defect(
        "perplexityai 0.46.1",
        r"chat_concise_streamed\[.*",
        "when strict, it insists on `message` in every chunk; concise streams have deltas alone",
        "1 validation error for CompletionResponseOutput\nchoices.0.message\n  Field required",
    ),
    Defect(
        "perplexityai 0.46.1",
        r"response_streamed(_async)?\[.*",
        "when strict, it refuses a message that is announced with the content null",
        "item.MessageOutputItemOutput.content\n  Input should be a valid list",
    ),
    Defect(
        "perplexityai 0.46.1",
        r"response_incomplete\[.*",
        "when strict, it does not know the status `incomplete` that its service documents",
        "1 validation error for ResponsesResponseOutput\nstatus\n",
    ),
    Defect(
        "dify-client 0.1.10",
        r"completion_with_pings_streamed_as_in_the_readme\[.*",
        "the loop of its own page takes `event: ping` for JSON",
        "JSONDecodeError",
    ),
    Defect(
        "dify-client 0.1.10",
        r"completion_streamed_as_in_the_readme\[.* separators=True\]",
        "the loop of its own page cuts events at U+2028, which JSON may hold",
        "JSONDecodeError",
    ),
    Defect(
        "langchain-fireworks 1.7.1",
        r"chat_at_the_documented_address\[.*",
        "it adds the version to an address that has it, and reports the 404 as an unknown model",
        "FireworksModelNotFoundError",
    ),
    Defect(
        "langchain-fireworks 1.7.1",
        r"completion_streamed\[.*",
        "the text model does not stream: the whole answer comes in one piece",
        "the stream has one piece",
    ),
    Defect(
        "langchain-fireworks 1.7.1",
        r"usage_told_twice\[.*",
        "usage that comes with the finish reason and in a trailing chunk is added up",
        "the text is 'twice'",
    ),
    Defect(
        "langchain-fireworks 1.7.1",
        r"(error_in_a_stream|stream_cut)\[.*",
        "half an answer is handed over as a whole one, also where the stream says that it failed",
        "no error, but the text 'The",
    ),
    Defect(
        "langchain-perplexity 1.4.2",
        r"(error_in_a_stream|stream_cut)\[.*",
        "half an answer is handed over as a whole one, also where the stream says that it failed",
        "no error, but the text 'The",
    ),
    Defect(
        "langchain-perplexity 1.4.2",
        r"chat_cited_late_streamed\[.*",
        "sources that come after the first chunk are lost",
        "the sources: []",
    ),
    Defect(
        "langchain-perplexity 1.4.2",
        r"agent_failed\[.*",
        "a run that failed is handed over as an empty answer",
        "no error, but the text ''",
    ),
    Defect(
        "llama-index-llms-fireworks 0.6.0",
        r"stream_cut\[.*",
        "half an answer is handed over as a whole one",
        "no error, but the text 'The",
    ),
    Defect(
        "llama-index-llms-perplexity 0.6.1",
        r"(error_in_a_stream|stream_cut)\[.*",
        "half an answer is handed over as a whole one, also where the stream says that it failed",
        "no error, but the text 'The",
    ),
    Defect(
        "llama-index-llms-fireworks 0.6.0",
        r"address_from_the_environment\[.*",
        "FIREWORKS_API_BASE is overlooked, because the argument has a default",
        "the text is 'https://api.fireworks.ai/inference/v1'",
    ),
    Defect(
        "llama-index-llms-perplexity 0.6.1",
        r"(chat|complete)_streamed_async\[.*",
        "asynchronous streams fail: the session is closed as soon as the answer begins",
        "RuntimeError: Connection closed",
    ),
    Defect(
        "llama-index-llms-perplexity 0.6.1",
        r"(wrong_key|retired)\[.*",
        "a refusal is retried, and what the service said of it is hidden in a RetryError",
        "RetryError",
    ),
)
