"""The openai package on the paths of Fireworks and Perplexity."""

import json
from typing import Any

from ._asked import CHAT, EMBEDDER, EXTRACTIVE, FORECAST, FORM, PASSAGES, TOOLS
from ._judge import ANSWER, QUESTION, Judge, Said
from ._openai import arguments, client, joined, whole

__all__ = ["judge"]

judge = Judge()
_FIREWORKS = ("classic", "2025", "2026")
_PERPLEXITY = ("seed", "2025-07", "2025-08", "2025-11", "2026-01", "2026-06", "2026-09")


def _fireworks(**more: Any) -> Any:
    return client(**arguments("FIREWORKS_API_BASE", "FIREWORKS_API_KEY") | more)


def _perplexity(path: str = "") -> Any:
    # Its answers are like those of OpenAI, but not the same.
    own = arguments("PERPLEXITY_BASE_URL", "PERPLEXITY_API_KEY", path)
    return client(**own | {"_strict_response_validation": False})


@judge.call("fireworks", *_FIREWORKS, counts=True)
def fireworks_completion() -> Said:
    answer = _fireworks().completions.create(model=EXTRACTIVE, prompt=QUESTION, max_tokens=100)
    return Said([answer.choices[0].text], tokens=answer.usage.total_tokens)


@judge.call("fireworks", *_FIREWORKS, counts=True)
def fireworks_chat() -> Said:
    return whole(_fireworks().chat.completions.create(model=EXTRACTIVE, messages=CHAT))


@judge.call("fireworks", *_FIREWORKS, counts=True)
def fireworks_chat_streamed() -> Said:
    stream = _fireworks().chat.completions.create(
        model=EXTRACTIVE, messages=CHAT, stream=True, stream_options={"include_usage": True}
    )
    return joined(list(stream))


@judge.call("fireworks", "2026", counts=True, usage="trailing")
def fireworks_chat_with_trailing_usage_streamed() -> Said:
    stream = _fireworks().chat.completions.create(
        model=EXTRACTIVE, messages=CHAT, stream=True, stream_options={"include_usage": True}
    )
    return joined(list(stream))


@judge.call("fireworks", *_FIREWORKS, says='{"town":"Merrøw"}')
def fireworks_tools() -> Said:
    answer = _fireworks().chat.completions.create(model=EXTRACTIVE, messages=FORECAST, tools=TOOLS)
    return Said([call.function.arguments for call in answer.choices[0].message.tool_calls])


@judge.call("fireworks", "2025", "2026", says="probabilities")
def fireworks_logprobs() -> Said:
    answer = _fireworks().chat.completions.create(
        model=EXTRACTIVE, messages=CHAT, logprobs=True, top_logprobs=2
    )
    return Said([f"{len(answer.choices[0].logprobs.content)} probabilities"])


@judge.call("fireworks", *_FIREWORKS)
def fireworks_json_schema() -> Said:
    answer = _fireworks().chat.completions.create(
        model=EXTRACTIVE, messages=CHAT, response_format=FORM
    )
    return Said([json.loads(answer.choices[0].message.content)["answer"]])


@judge.call("fireworks", *_FIREWORKS, says=EXTRACTIVE)
def fireworks_models() -> Said:
    return Said([model.id for model in _fireworks().models.list()])


@judge.call("fireworks", *_FIREWORKS, raises="NotFoundError", fault="status; code=404")
def fireworks_unknown_model() -> Said:
    model = "accounts/sandbox/models/unknown"
    return whole(_fireworks().chat.completions.create(model=model, messages=CHAT))


@judge.call("fireworks", *_FIREWORKS, says="2 vectors", counts=True)
def fireworks_embeddings() -> Said:
    """This client asks for base64, and unpacks what its own types do not allow."""
    packed = _fireworks(_strict_response_validation=False)
    answer = packed.embeddings.create(model=EMBEDDER, input=PASSAGES)
    assert {len(item.embedding) for item in answer.data} == {768}
    return Said([f"{len(answer.data)} vectors"], tokens=answer.usage.total_tokens)


@judge.call("fireworks", *_FIREWORKS, says="8 numbers")
def fireworks_embeddings_as_floats() -> Said:
    answer = _fireworks().embeddings.create(
        model=EMBEDDER, input=QUESTION, dimensions=8, encoding_format="float"
    )
    return Said([f"{len(answer.data[0].embedding)} numbers"])


@judge.call("perplexity", *_PERPLEXITY, cites=True, counts=True)
def perplexity_chat() -> Said:
    answer = _perplexity().chat.completions.create(model="sonar", messages=CHAT)
    return whole(answer, answer.citations)


@judge.call("perplexity", *_PERPLEXITY, cites=True, counts=True)
def perplexity_chat_streamed() -> Said:
    stream = _perplexity().chat.completions.create(model="sonar", messages=CHAT, stream=True)
    parts = list(stream)
    said = joined(parts)
    return Said(said.pieces, parts[-1].citations, said.tokens)


@judge.call("perplexity", "retired", raises="PermissionDeniedError", says="Agent API")
def perplexity_retired() -> Said:
    return whole(_perplexity().chat.completions.create(model="sonar", messages=CHAT))


@judge.call("perplexity", "2026-06", counts=True)
def perplexity_response() -> Said:
    answer = _perplexity("/v1").responses.create(
        model="perplexity/sonar", input=QUESTION, tools=[{"type": "web_search"}]
    )
    return Said([answer.output_text], tokens=answer.usage.total_tokens)


@judge.call("perplexity", "2026-06", says=ANSWER)
def perplexity_response_streamed() -> Said:
    events = list(
        _perplexity("/v1").responses.create(
            model="perplexity/sonar", input=QUESTION, tools=[{"type": "web_search"}], stream=True
        )
    )
    assert events[-1].type == "response.completed"
    return Said([e.delta for e in events if e.type == "response.output_text.delta"])
