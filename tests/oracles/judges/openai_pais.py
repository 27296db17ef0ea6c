"""The openai package on the paths of PAIS."""

from typing import Any

from ._asked import CHAT
from ._judge import QUESTION, Judge, Said
from ._openai import arguments, client, joined, whole

__all__ = ["judge"]

judge = Judge()
_ALL = ("9.0", "seed", "9.1.1")
# Its model of a text chunk wants a finish_reason in each; the service's is null until the last.
_LENIENT = {"_strict_response_validation": False}


def _client(path: str = "", **more: Any) -> Any:
    return client(**{**arguments("PAIS_BASE_URL", "PAIS_API_KEY", path), **more})


def _async_client(**more: Any) -> Any:
    from openai import AsyncOpenAI

    return AsyncOpenAI(**{**arguments("PAIS_BASE_URL", "PAIS_API_KEY"), **more})


def _model(pais: Any, kind: str = "COMPLETIONS") -> str:
    return str(next(model.id for model in pais.models.list() if model.model_type == kind))


@judge.call("pais", *_ALL, counts=True)
def completion() -> Said:
    pais = _client()
    answer = pais.completions.create(
        model=_model(pais), prompt=QUESTION, max_tokens=100, temperature=0, stop=["\n\n"]
    )
    return Said([answer.choices[0].text], tokens=answer.usage.total_tokens)


@judge.call("pais", *_ALL)
@judge.call("pais", "seed", engine="vllm")
@judge.call("pais", "seed", engine="llama_server")
@judge.call("pais", "seed", engine="llama_cpp_python")
@judge.call("pais", "seed", framing="gateway", engine="vllm")
def completion_streamed() -> Said:
    pais = _client(**_LENIENT)
    parts = list(
        pais.completions.create(model=_model(pais), prompt=QUESTION, max_tokens=100, stream=True)
    )
    return Said([choice.text for part in parts for choice in part.choices])


@judge.call("pais", "seed", "9.1.1", counts=True)
async def completion_streamed_with_usage_async() -> Said:
    async with _async_client(**_LENIENT) as pais:
        stream = await pais.completions.create(
            model="sandbox-extractive", prompt=QUESTION, max_tokens=100, stream=True,
            stream_options={"include_usage": True},
        )  # fmt: skip
        parts = [part async for part in stream]
    assert parts[-1].choices == []
    pieces = [choice.text for part in parts for choice in part.choices]
    return Said(pieces, tokens=parts[-1].usage.total_tokens)


@judge.call("pais", *_ALL, says="2 choices")
def completion_n() -> Said:
    pais = _client()
    answer = pais.completions.create(model=_model(pais), prompt=QUESTION, n=2)
    return Said([f"{len(answer.choices)} choices"])


@judge.call("pais", *_ALL, counts=True)
@judge.call("pais", "seed", counts=True, engine="vllm")
@judge.call("pais", "seed", counts=True, engine="llama_server")
@judge.call("pais", "seed", counts=True, engine="llama_cpp_python")
def chat() -> Said:
    pais = _client()
    return whole(pais.chat.completions.create(model=_model(pais), messages=CHAT))


@judge.call("pais", *_ALL, counts=True)
async def chat_async() -> Said:
    async with _async_client() as pais:
        answer = await pais.chat.completions.create(model="sandbox-extractive", messages=CHAT)
    return whole(answer)


@judge.call("pais", *_ALL)
@judge.call("pais", "seed", engine="vllm")
@judge.call("pais", "seed", engine="llama_server")
@judge.call("pais", "seed", engine="llama_cpp_python")
@judge.call("pais", "seed", framing="gateway", engine="vllm")
def chat_streamed() -> Said:
    pais = _client()
    stream = pais.chat.completions.create(model=_model(pais), messages=CHAT, stream=True)
    return joined(list(stream))


@judge.call("pais", "seed", "9.1.1", counts=True)
async def chat_streamed_with_usage_async() -> Said:
    async with _async_client() as pais:
        stream = await pais.chat.completions.create(
            model="sandbox-extractive", messages=CHAT, stream=True,
            stream_options={"include_usage": True},
        )  # fmt: skip
        return joined([part async for part in stream])


@judge.call("pais", *_ALL, says="COMPLETIONS, EMBEDDINGS")
def models() -> Said:
    return Said([", ".join(sorted({model.model_type for model in _client().models.list()}))])


@judge.call("pais", *_ALL, says="2 vectors")
def embeddings() -> Said:
    pais = _client()
    found = pais.embeddings.create(
        model=_model(pais, "EMBEDDINGS"), input=["lamp", "ferry"], encoding_format="float"
    )
    assert len(found.data[0].embedding) == len(found.data[1].embedding) > 1
    return Said([f"{len(found.data)} vectors"])


@judge.call("pais", *_ALL, says="1 vectors")
def embeddings_by_default() -> Said:
    """Unasked, the package wants the vectors in base64, and takes lists of numbers too."""
    pais = _client()
    found = pais.embeddings.create(model=_model(pais, "EMBEDDINGS"), input="lamp")
    assert isinstance(found.data[0].embedding[0], float)
    return Said([f"{len(found.data)} vectors"])


@judge.call("pais", *_ALL, says="2 vectors")
async def embeddings_async() -> Said:
    model = _model(_client(), "EMBEDDINGS")
    async with _async_client() as pais:
        found = await pais.embeddings.create(
            model=model, input=["lamp", "ferry"], encoding_format="float"
        )
    return Said([f"{len(found.data)} vectors"])


def _agent() -> str:
    found = [agent["id"] for agent in _client().get("/agents", cast_to=dict[str, Any])["data"]]
    return f"/agents/{found[0]}"


def _cited(answer: Any) -> list[str]:
    return [info["metadata"]["origin_name"] for info in answer.index_context_info or []]


@judge.call("pais", *_ALL, cites=True, counts=True)
def agent() -> Said:
    answer = _client(_agent()).chat.completions.create(model="", messages=CHAT)
    return whole(answer, _cited(answer))


@judge.call("pais", *_ALL, cites=True)
@judge.call("pais", "seed", cites=True, citations="first")
@judge.call("pais", "seed", cites=True, citations="every")
def agent_streamed() -> Said:
    parts = list(_client(_agent()).chat.completions.create(model="", messages=CHAT, stream=True))
    sources = [name for part in parts for name in _cited_in(part)]
    return Said(joined(parts).pieces, sources)


def _cited_in(part: Any) -> list[str]:
    return _cited(part) if "index_context_info" in part.model_extra else []


@judge.call("pais", *_ALL, cites=True, counts=True)
def agent_completion() -> Said:
    answer = _client(_agent()).completions.create(model="", prompt=QUESTION)
    return Said([answer.choices[0].text], _cited(answer), answer.usage.total_tokens)


@judge.call("pais", *_ALL, cites=True)
@judge.call("pais", "seed", cites=True, citations="first")
@judge.call("pais", "seed", cites=True, citations="every")
def agent_completion_streamed() -> Said:
    agent = _client(_agent(), **_LENIENT)
    parts = list(agent.completions.create(model="", prompt=QUESTION, stream=True))
    sources = [name for part in parts for name in _cited_in(part)]
    return Said([choice.text for part in parts for choice in part.choices], sources)


@judge.call("pais", *_ALL, cites=True)
async def agent_async() -> Said:
    agent = _agent()
    async with _async_client() as pais:
        made = pais.with_options(base_url=f"{str(pais.base_url).rstrip('/')}{agent}")
        answer = await made.chat.completions.create(model="", messages=CHAT)
    return whole(answer, _cited(answer))


@judge.call("pais", *_ALL, says="4")
def agent_session() -> Said:
    agent = _client(_agent())
    first = agent.chat.completions.create(
        model="", messages=CHAT, extra_body={"create_session": True}
    )
    again = agent.chat.completions.create(
        model="", messages=CHAT, extra_body={"store_in_session": first.session_id}
    )
    assert again.session_id == first.session_id
    return Said([str(first.session_id)])


@judge.call("pais", *_ALL, raises="AuthenticationError", says="401")
def wrong_key() -> Said:
    return whole(_client(api_key="wrong").chat.completions.create(model="m", messages=CHAT))


@judge.call("pais", *_ALL, raises="UnprocessableEntityError", says="temperature")
def out_of_range() -> Said:
    return whole(
        _client().chat.completions.create(model="sandbox-extractive", messages=CHAT, temperature=3)
    )


@judge.call("pais", *_ALL, raises="UnprocessableEntityError", says="list")
def bare_stop() -> Said:
    answer = _client().completions.create(model="sandbox-extractive", prompt=QUESTION, stop="END")
    return Said([answer.choices[0].text])


@judge.call("pais", *_ALL, raises="NotFoundError", says="Unknown model endpoint")
def unknown_model() -> Said:
    return whole(_client().chat.completions.create(model="unknown-model", messages=CHAT))


@judge.call("pais", *_ALL, raises="NotFoundError", says="404")
def unknown_agent() -> Said:
    agent = _client("/agents/00000000-0000-4000-8000-000000000000")
    return whole(agent.chat.completions.create(model="", messages=CHAT))


@judge.call("pais", "seed", raises="RateLimitError", fault="status; code=429; times=99")
def too_many_requests() -> Said:
    return whole(_client().chat.completions.create(model="sandbox-extractive", messages=CHAT))


@judge.call("pais", "seed", fault="pings; every=0.01; seconds=0.05; path=/completions")
def chat_with_pings_streamed() -> Said:
    return chat_streamed()


@judge.call("pais", "seed", fault="drip; every=0; path=/completions")
def chat_in_single_bytes_streamed() -> Said:
    return chat_streamed()


@judge.call("pais", "seed", raises="APIError", fault="error; path=/completions")
def error_in_a_stream() -> Said:
    return chat_streamed()


@judge.call("pais", "seed", raises="APIConnectionError", fault="disconnect; path=/completions")
def stream_disconnected() -> Said:
    return chat_streamed()


@judge.call("pais", "seed", cold_start=1)
@judge.call("pais", "seed", fault="status; code=503; retry_after=0; times=1", engine="vllm")
def unavailable_once() -> Said:
    """The client's own retry succeeds."""
    pais = _client(max_retries=1)
    return whole(pais.chat.completions.create(model="sandbox-extractive", messages=CHAT))
