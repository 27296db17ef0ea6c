"""How PAIS behaves: its release, the engine behind it, and how it lets one in and refuses."""

from typing import Annotated, Literal

from pydantic import Field

from qaip_sandbox.switches import Switches

__all__ = ["PAISSwitches"]

_Count = Annotated[int, Field(ge=0)]


class PAISSwitches(Switches):
    """How PAIS behaves.

    The first `not_ready`, `cold_start` or `empty` answers come in this order. They are counted from
    the time when the switch is set, for each number that it is set to; requests that do not set it
    do not count. Setting it to 0 in between starts anew.

    Args:
        profile: The release, which decides on the fields of requests: `9.0` has no
            `stream_options`, `seed` has, and `9.1.1` adds `top_p` and others, and has no default
            for the temperature.
        engine: Whose answers the gateway passes on: `gateway` writes them as the vendor's samples
            have them, `vllm`, `llama_server` (of llama.cpp), `llama_cpp_python` and `openai` as
            these engines do. Agents always answer as the `gateway` does.
        framing: Whether a stream keeps its engine's `own` line ends and pings, or the `gateway`
            writes its events anew, with CRLF.
        auth: Which tokens are good: any or `none`, the `static` one, or `expiring` ones, each for
            `requests_per_token` requests. A token is a sandbox's if it is PAIS_API_KEY or begins
            with it, so that a token provider can make new ones by appending to it.
        requests_per_token: How many requests an expiring token is good for, 1 or more.
        errors: The shape of refusals: `fastapi` is {"detail"}, `pais` has an `error_code` in each
            detail, `empty` has no body, `html` is a page, `vllm` and `llama_server` are
            {"error"} as these engines write it.
        forbid: Whether fields that are not declared are refused; else they are ignored.
        not_ready: How many requests are refused first, since the model is not ready (400).
        cold_start: How many requests fail first, since the engine is starting (502).
        empty: How many answers are empty first, as engines give while they warm up.
        context: The size of the engine's context, in tokens, 1 or more; a longer prompt is
            refused in the words of the engine.
        overflow: Whether a prompt that is too long gets an `error`, or an `empty` answer whose
            finish reason is "length".
        ending: How a stream ends: `complete`; `unfinished`, without any finish reason;
            `interrupted`, after half of the text; or `done`, with nothing but [DONE] at all.
        usage: Whether a stream tells its usage if that is `asked` for, `always` or `never`.
        without_id: Whether answers lack their `id`.
        without_created: Whether answers lack their `created`.
        first_index: The index of a stream's first choice, 0 or more; 6 in the vendor's samples.
        chunk_object: What the chunks of a chat call themselves; the samples leave `.chunk` out.
        citations: Which chunks of an agent's stream bring the session and the citations: the
            `last` with text, the `first`, or `every` one.
        search: The shape of search results: `chunks` or `hits` in an object, or a bare `list`.
    """

    profile: Literal["9.0", "seed", "9.1.1"] = "seed"
    engine: Literal["gateway", "vllm", "llama_server", "llama_cpp_python", "openai"] = "gateway"
    framing: Literal["own", "gateway"] = "own"
    auth: Literal["none", "static", "expiring"] = "static"
    requests_per_token: Annotated[int, Field(ge=1)] = 3
    errors: Literal["fastapi", "pais", "empty", "html", "vllm", "llama_server"] = "fastapi"
    forbid: bool = False
    not_ready: _Count = 0
    cold_start: _Count = 0
    empty: _Count = 0
    context: Annotated[int, Field(ge=1)] = 131_072
    overflow: Literal["error", "empty"] = "error"
    ending: Literal["complete", "unfinished", "interrupted", "done"] = "complete"
    usage: Literal["asked", "always", "never"] = "asked"
    without_id: bool = False
    without_created: bool = False
    first_index: _Count = 0
    chunk_object: Literal["chat.completion.chunk", "chat.completion"] = "chat.completion.chunk"
    citations: Literal["last", "first", "every"] = "last"
    search: Literal["chunks", "hits", "list"] = "chunks"
