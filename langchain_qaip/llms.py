"""Text LLMs of the five services: a prompt in, a text out.

Citations, usage and finish_reason stand in ``generation_info``. All of them take, beside their
own parameters, those of `qaip_core.connection.Connection` and LangChain's.
"""

from __future__ import annotations

from typing import ClassVar

from langchain_qaip._text import TextModel
from qaip_core.backends import dify, fireworks, pais, perplexity, qaip
from qaip_core.backends.dify import DifyParams
from qaip_core.backends.dify._calls import AppCalls
from qaip_core.backends.fireworks import FireworksTextParams
from qaip_core.backends.fireworks.account import Account
from qaip_core.backends.pais import PaisParams
from qaip_core.backends.pais._lists import ListsModels
from qaip_core.backends.perplexity import PerplexityParams
from qaip_core.backends.perplexity._classes import Retired
from qaip_core.backends.qaip import QaipParams

__all__ = ["PAISLLM", "DifyLLM", "FireworksLLM", "PerplexityLLM", "QaipLLM"]


class QaipLLM(QaipParams, TextModel):
    """Answers one prompt from the documents that are indexed in Qaip.

    Parameters, errors and source: those of `langchain_qaip.ChatQaip`.
    """

    endpoint = qaip.COMPLETIONS


class FireworksLLM(FireworksTextParams, Account, TextModel):
    """Completes a text with a model on Fireworks (POST /completions).

    Parameters:
        model: such as "accounts/fireworks/models/llama-v3p1-8b-instruct".
        api_key: or the environment variable FIREWORKS_API_KEY.
        base_url: or FIREWORKS_API_BASE, with or without /v1.
        session_affinity: a name of the session, without spaces; requests that share one go to
            the same replica, whose cache has their beginning.

    The others are those of `FireworksTextParams` (``echo``, ``logprobs``, ``n``, ...).
    `list_models` tells what the service has.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.fireworks.ai/api-reference/post-completions
    """

    endpoint = fireworks.TEXT


class PAISLLM(PaisParams, ListsModels, TextModel):
    """Completes a text with a model of VMware Private AI Services (POST /completions).

    Parameters:
        model: the id of a model endpoint of the site.
        base_url: or the environment variable PAIS_BASE_URL; the host is enough.
        api_key: an access token, or a callable that returns one; or PAIS_API_KEY.

    The others are those of `PaisParams`. Several prompts are several requests, since the
    service takes one prompt at a time.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/
    """

    endpoint = pais.TEXT


class PerplexityLLM(PerplexityParams, Retired, TextModel):
    """Answers one prompt from the web through Perplexity's chat completions.

    Parameters, errors and source: those of `langchain_qaip.ChatPerplexity`.
    """

    endpoint = perplexity.CHAT
    successor: ClassVar[str] = "ChatPerplexityAgent"
    piped: ClassVar[str] = " | StrOutputParser()"


class DifyLLM(DifyParams, AppCalls, TextModel):
    """Runs a Dify completion app on one prompt.

    Parameters, errors and source: those of `langchain_qaip.ChatDify`.
    """

    endpoint = dify.COMPLETION
