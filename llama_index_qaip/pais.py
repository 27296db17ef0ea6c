"""What VMware Private AI Services offers beside its completions.

Agents that answer from knowledge bases, the search of those, and embeddings.
"""

from __future__ import annotations

from typing import ClassVar

from llama_index_qaip._citing import CitingLLM
from llama_index_qaip._embedding import EmbeddingModel
from llama_index_qaip._searching import SearchRetriever
from qaip_core.backend import Endpoint
from qaip_core.backends.pais._lists import ListsAgents, ListsModels
from qaip_core.backends.pais.agent import AGENT_CHAT, AGENT_TEXT, PaisAgentParams
from qaip_core.backends.pais.vectors import EMBEDDINGS, PaisEmbeddingParams
from qaip_core.knowledge import KnowledgeBase

__all__ = ["PAISAgent", "PAISEmbedding", "PAISSearchRetriever"]


class PAISAgent(PaisAgentParams, ListsAgents, ListsModels, CitingLLM):
    """An agent of VMware Private AI Services answers from its knowledge base, with sources.

    `chat` goes to the agent's ``/chat/completions``, `complete` to its ``/completions``. How the
    text refers to the sources is not documented, so they have no offsets.

    With ``create_session=True`` the response's ``additional_kwargs["session_id"]`` names a
    session of the agent, which a later call goes on with::

        first = agent.chat(messages, create_session=True)
        session = first.additional_kwargs["session_id"]
        agent.chat(more, store_in_session=session)

    Service page: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/

    Parameters:
        agent_id: the agent; required, `list_agents` tells which there are.
        api_key: an access token, or better a callable that returns a fresh one: they live for
            minutes. Read from ``PAIS_API_KEY``; some sites need none.
        base_url: the site's gateway; read from ``PAIS_BASE_URL`` where it is not given.

    All others are those of `qaip_core.backends.pais.agent.PaisAgentParams`.

    Raises:
        ConfigurationError: there is no base URL, or it or a parameter cannot be used.
    """

    endpoint: ClassVar[Endpoint] = AGENT_CHAT
    text_endpoint: ClassVar[Endpoint | None] = AGENT_TEXT

    unknown_context: ClassVar[int] = 8_192


class PAISSearchRetriever(KnowledgeBase, SearchRetriever):
    """Finds passages in a knowledge base of VMware Private AI Services.

    An index that was never filled finds nothing, which is no error: `list_indexings` tells.

    Service page: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/

    Parameters:
        knowledge_base_id: the knowledge base; `list_knowledge_bases` tells which there are.
        index_id: its index; `list_indexes` tells.
        similarity_top_k: how many nodes to return at most (or ``top_k``, the service's own
            name); 4 where neither is given, since the service would return two.
        similarity_cutoff: the least score of a passage.
        api_key: an access token, or a callable that returns one; ``PAIS_API_KEY``.
        base_url: the site's gateway; read from ``PAIS_BASE_URL`` where it is not given.
        control_base_url: where knowledge bases are, if not beside it under ``/control``.

    Raises:
        ServiceError: see `llama_index_qaip.errors`.
    """


class PAISEmbedding(PaisEmbeddingParams, ListsModels, EmbeddingModel):
    """Turns texts into vectors with a model of VMware Private AI Services.

    Service page: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/

    Parameters:
        model, model_name: the id of a model endpoint; ``list_models("EMBEDDINGS")`` tells which
            there are.
        api_key: an access token, or a callable that returns one; ``PAIS_API_KEY``.
        base_url: the site's gateway; read from ``PAIS_BASE_URL`` where it is not given.
        embed_batch_size: texts that one request holds at most, 1 to 2048. The service's own
            limit is not documented.
        num_workers: requests that an async call has under way at once.

    Raises:
        MalformedResponseError: the model gives a vector for each token, and none for the text.
        ServiceError: see `llama_index_qaip.errors`.
    """

    operation = EMBEDDINGS
