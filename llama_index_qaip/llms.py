"""The LLMs, one for each service.

Every one takes the parameters of its service (checked before anything is sent; a call may
overrule them), those of its connection, and those of `ServiceLLM`. Every call raises the errors
of `llama_index_qaip.errors` and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from llama_index.core.llms import LLMMetadata

from llama_index_qaip._citing import CitingLLM
from llama_index_qaip._structured import ObjectLLM
from llama_index_qaip._tools import ToolCallingLLM
from qaip_core import ModelInfo
from qaip_core.backend import Endpoint
from qaip_core.backends import dify, fireworks, pais, perplexity, qaip
from qaip_core.backends.dify._calls import AppCalls
from qaip_core.backends.fireworks.account import Account
from qaip_core.backends.pais._lists import ListsModels
from qaip_core.backends.perplexity._classes import Retired

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from qaip_core.backends.qaip.conversations import Conversations
    from qaip_core.backends.qaip.library import Library

if TYPE_CHECKING:
    from llama_index_qaip.perplexity import PerplexityAgent

__all__ = ["PAIS", "Dify", "Fireworks", "Perplexity", "Qaip"]


class Qaip(qaip.QaipParams, CitingLLM):
    """Qaip answers from the documents that you gave it, with its sources.

    Service page: https://docs.qaip.com (API reference, Completions)

    Parameters:
        api_key: the key; read from ``QAIP_API_KEY`` where it is not given.
        base_url: where the service is; ``QAIP_BASE_URL``, else the vendor's address.
        citation: whether the answer brings its sources; the service's default is True.
        tag_names, tag_ids, source_types, file_types, date_from, date_to, domains, ...: which
            sources it may use, see `qaip_core.backends.qaip.params.FilterParams`.
        conversation_id, grounding, redaction_policy_id, ...: see
            `qaip_core.backends.qaip.QaipParams`.
        model, temperature, max_tokens: accepted and not sent, since the service chooses them.
        stop: sequences at which the answer is cut on this side.

    Raises:
        MissingKeyError: there is no key.
        ConfigurationError: the base URL or a parameter cannot be used.
    """

    endpoint: ClassVar[Endpoint] = qaip.COMPLETIONS

    @property
    def conversations(self) -> Conversations:
        """The conversations that the service has stored: list, read, change, delete."""
        from qaip_core.backends.qaip.conversations import Conversations

        return Conversations(self, self.principal_id)

    @property
    def library(self) -> Library[TextNode]:
        """The tags of the library, and single passages of it."""
        from llama_index_qaip.qaip import library

        return library(self, self.principal_id)


class Fireworks(fireworks.FireworksChatParams, Account, ToolCallingLLM):
    """Fireworks AI serves open models, by chat and by text completion.

    `chat` goes to ``/chat/completions``, `complete` to ``/completions``; parameters that only
    one of them has do not disturb the other.

    Service page: https://docs.fireworks.ai/api-reference/introduction

    Parameters:
        api_key: the key; read from ``FIREWORKS_API_KEY`` where it is not given.
        base_url: where the service is; ``FIREWORKS_API_BASE``, else the vendor's address.
        model: such as "accounts/fireworks/models/llama-v3p1-8b-instruct"; required.
        temperature: 0 to 2.
        max_tokens: tokens of the answer; above 4,096 whole answers are asked for as streams.
        stop: at most 4 sequences at which the answer ends.
        is_function_calling_model: whether the model takes tools; `load_metadata` asks the
            service. Default True.
        session_affinity: a name of the conversation, without spaces; requests that share one go
            to the same replica, whose cache has their beginning.

    All others are those of `qaip_core.backends.fireworks.FireworksChatParams`.

    Raises:
        MissingKeyError: there is no key.
        ConfigurationError: the base URL or a parameter cannot be used.
    """

    endpoint: ClassVar[Endpoint] = fireworks.CHAT
    text_endpoint: ClassVar[Endpoint | None] = fireworks.TEXT

    def load_metadata(self) -> LLMMetadata:
        """Ask the service what the model can do (GET /models), and keep it.

        Returns:
            `metadata`, with the context window and the use of tools as the service lists them.

        Raises:
            NotFoundError: the list does not hold the model.
            ServiceError: see `llama_index_qaip.errors`.
        """
        return self._noted(self.client.fetch(fireworks.MODELS))

    async def aload_metadata(self) -> LLMMetadata:
        """Do what `load_metadata` does, without blocking."""
        return self._noted(await self.async_client.fetch(fireworks.MODELS))

    def _noted(self, models: list[ModelInfo]) -> LLMMetadata:
        listed = fireworks.listed(models, self.model)
        self.context_window = listed.context_length or self.context_window
        takes_tools = listed.metadata.get("supports_tools")
        if takes_tools is not None:
            self.is_function_calling_model = bool(takes_tools)
        return self.metadata


class PAIS(pais.PaisParams, ListsModels, ObjectLLM):
    """VMware Private AI Services serves models on a site's own gateway.

    `chat` goes to ``/chat/completions``, `complete` to ``/completions``. The latter's engines
    cut the answer at 16 tokens where ``max_tokens`` is not given.

    Service page: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/

    Parameters:
        api_key: an access token, or better a callable that returns a fresh one: they live for
            minutes. Read from ``PAIS_API_KEY``; some sites need none.
        base_url: the site's gateway; read from ``PAIS_BASE_URL`` where it is not given.
        model: the id of a model endpoint of the site; required.
        temperature: 0 to 2.
        n: answers to one prompt, at least 1; LlamaIndex shows the first, ``raw`` has all.
        stop: sequences at which the answer ends.
        max_tokens: tokens of the answer, at least 1.
        seed: for repeatable answers.
        stream_options: what a stream carries; token counts are asked for unless this is given.
        top_p, top_k, presence_penalty, frequency_penalty, max_completion_tokens,
            response_format: of sites of release 9.1.1, see `PaisParams`.

    Raises:
        ConfigurationError: there is no base URL, or it or a parameter cannot be used.
    """

    endpoint: ClassVar[Endpoint] = pais.CHAT
    text_endpoint: ClassVar[Endpoint | None] = pais.TEXT

    unknown_context: ClassVar[int] = 8_192


class Perplexity(perplexity.PerplexityParams, Retired, CitingLLM):
    """Perplexity answers from the web, with its sources, by its chat completions.

    Perplexity itself ended this call on 2026-09-27: `PerplexityAgent` takes its place, and the
    error (`EndpointRetiredError`) says what to write. Gateways that still serve it are reached
    with ``base_url``.

    Service page: https://docs.perplexity.ai/api-reference/chat-completions-post

    Parameters:
        api_key: the key; read from ``PERPLEXITY_API_KEY`` or ``PPLX_API_KEY``.
        base_url: where the service is; ``PERPLEXITY_BASE_URL``, else the vendor's address.
        model: such as "sonar"; required.
        max_tokens: tokens of the answer, 1 to 128,000.
        temperature: 0 up to, not including, 2.
        stop: sequences at which the answer is cut on this side.

    All others are those of `qaip_core.backends.perplexity.PerplexityParams`.

    Raises:
        MissingKeyError: there is no key.
        ConfigurationError: the base URL or a parameter cannot be used.
    """

    endpoint: ClassVar[Endpoint] = perplexity.CHAT
    successor: ClassVar[str] = "PerplexityAgent"

    unknown_context: ClassVar[int] = 127_072

    def as_agent(self) -> PerplexityAgent:
        """Return the `PerplexityAgent` that does what this object does.

        Model and filters are translated as Perplexity says; key, address, timeouts and the
        like are the same.

        Warns:
            UserWarning: something has no equivalent, and is left out.
        """
        from llama_index_qaip.perplexity import PerplexityAgent

        return PerplexityAgent(**self._successor(PerplexityAgent))


class Dify(dify.DifyParams, AppCalls, CitingLLM):
    """Dify runs a completion (text generator) app, with the sources of its knowledge bases.

    Model and sampling are set in the app. A conversation is written into its one text
    variable: by ``messages_to_prompt`` where you give one. Images, videos and documents among its
    blocks are sent as files; bytes are uploaded first. For chat and agent apps there is
    `DifyConversation`, for workflow apps `DifyWorkflow`.

    Service page: https://docs.dify.ai/api-reference/completion/create-completion-message

    Parameters:
        api_key: the app's key; read from ``DIFY_API_KEY`` where it is not given.
        base_url: where the service is; ``DIFY_BASE_URL``, else the vendor's address.
        variables: the app's variables, besides the one that takes the prompt.
        input_key: the variable that takes the prompt; "query" where it is not given.
        turn_template, prompt_template: how a conversation is written; see `DifyParams`.
        user: your name for the end user, 1 to 255 characters.
        files: files for apps that take them, beside those that the messages hold.
        max_file_mb: the largest file to upload, in MB, where the site has limits of its own.
        response_mode: how whole answers are asked for, "streaming" or "blocking".
        stop_on_close: whether leaving a stream early also stops the run; default True.
        check_inputs: whether variables are checked by the app's form before a call.
        model, temperature, max_tokens: accepted and not sent.
        stop: sequences at which the answer is cut on this side.

    Raises:
        MissingKeyError: there is no key.
        ConfigurationError: the base URL or a parameter cannot be used.
    """

    endpoint: ClassVar[Endpoint] = dify.COMPLETION
