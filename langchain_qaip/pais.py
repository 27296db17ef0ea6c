"""What VMware Private AI Services offers beside its completions.

Agents that answer from knowledge bases, the search of those, and embeddings.
"""

from __future__ import annotations

from langchain_qaip._chat import ChatModel
from langchain_qaip._citing import Citing, OfASite
from langchain_qaip._embedding import EmbeddingModel
from langchain_qaip._searching import SearchRetriever
from langchain_qaip._text import TextModel
from qaip_core.backends.pais._lists import ListsAgents, ListsModels
from qaip_core.backends.pais.agent import AGENT_CHAT, AGENT_TEXT, PaisAgentParams
from qaip_core.backends.pais.vectors import EMBEDDINGS, PaisEmbeddingParams
from qaip_core.knowledge import KnowledgeBase

__all__ = ["ChatPAISAgent", "PAISAgentLLM", "PAISEmbeddings", "PAISSearchRetriever"]


class ChatPAISAgent(PaisAgentParams, ListsAgents, ListsModels, OfASite, Citing, ChatModel):
    """Chats with an agent of VMware Private AI Services, which cites its knowledge base.

    The passages that the agent used stand in ``additional_kwargs``, and `documents` makes
    Documents of them; how the text refers to them is not documented, so they have no offsets.

    With ``create_session=True`` the answer's ``response_metadata["session_id"]`` names a session
    of the agent, which a later call goes on with::

        first = agent.invoke("Who maintains it?", create_session=True)
        session = first.response_metadata["session_id"]
        agent.invoke("Since when?", store_in_session=session)

    Parameters:
        agent_id: the agent; `list_agents` tells which there are.
        base_url: or the environment variable PAIS_BASE_URL; the host is enough.
        api_key: an access token, or a callable that returns one (tokens are short-lived); or
            PAIS_API_KEY. Sites without authentication need none.

    The others are those of `PaisAgentParams`.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/
    """

    endpoint = AGENT_CHAT


class PAISAgentLLM(PaisAgentParams, ListsAgents, ListsModels, TextModel):
    """Completes a text with an agent of VMware Private AI Services, which cites.

    Citations and ``session_id`` stand in ``generation_info``. Parameters, errors and source:
    those of `ChatPAISAgent`.
    """

    endpoint = AGENT_TEXT


class PAISSearchRetriever(KnowledgeBase, SearchRetriever):
    """Finds passages in a knowledge base of VMware Private AI Services.

    An index that was never filled finds nothing, which is no error: `list_indexings` tells.

    Parameters:
        knowledge_base_id: the knowledge base; `list_knowledge_bases` tells which there are.
        index_id: its index; `list_indexes` tells.
        k: how many Documents to return at most (or ``top_k``, the service's own name); 4 where
            neither is given, since the service would return two.
        similarity_cutoff: the least score of a passage.
        base_url: or the environment variable PAIS_BASE_URL; the host is enough.
        control_base_url: where knowledge bases are, if not beside it under ``/control``.
        api_key: an access token, or a callable that returns one; or PAIS_API_KEY.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/
    """


class PAISEmbeddings(PaisEmbeddingParams, ListsModels, EmbeddingModel):
    """Turns texts into vectors with a model of VMware Private AI Services.

    Parameters:
        model: the id of a model endpoint; ``list_models("EMBEDDINGS")`` tells which there are.
        base_url: or the environment variable PAIS_BASE_URL; the host is enough.
        api_key: an access token, or a callable that returns one; or PAIS_API_KEY.
        batch_size: texts that one request holds at most, 1 to 2048. The service's own limit is
            not documented.
        max_concurrency: requests that an async call has under way at once.

    Raises:
        MalformedResponseError: the model gives a vector for each token, and none for the text.
        ServiceError: see `langchain_qaip.errors`.

    Source: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/
    """

    operation = EMBEDDINGS
