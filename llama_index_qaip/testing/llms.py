"""`LLMContract`: the facts that hold for every LLM of LlamaIndex."""

from __future__ import annotations

from llama_index_qaip.testing._answers import AnswerFacts
from llama_index_qaip.testing._errors import ErrorFacts
from llama_index_qaip.testing._events import EventFacts
from llama_index_qaip.testing._objects import ObjectFacts
from llama_index_qaip.testing._prompts import PromptFacts
from llama_index_qaip.testing._sent import SentFacts
from llama_index_qaip.testing._sources import SourceFacts
from llama_index_qaip.testing._streams import StreamFacts
from llama_index_qaip.testing._structured import StructureFacts
from llama_index_qaip.testing._tools import ToolFacts

__all__ = ["LLMContract"]


class LLMContract(
    AnswerFacts,
    SentFacts,
    StreamFacts,
    SourceFacts,
    EventFacts,
    ErrorFacts,
    ObjectFacts,
    PromptFacts,
    StructureFacts,
    ToolFacts,
):
    """The facts that hold for every LLM; a subclass says which LLM, and what its service can do.

    Give ``dialect`` and ``make``; the flags are documented on the bases, one for each group of
    facts.
    """
