"""The langchain-qaip package, whose import name is that of our own classes."""

import os
from typing import Any

from ._judge import ANSWER, QUESTION, Judge, Said

__all__ = ["judge"]

judge = Judge()


def _retriever(**more: Any) -> Any:
    import langchain_qaip.retriever

    # The address is in the code; its users replace the constant.
    langchain_qaip.retriever.QAIP_SEARCH_API_URL = os.environ["QAIP_BASE_URL"] + "/search"
    return langchain_qaip.retriever.QAIPRetriever(**more)


@judge.call("qaip", "later", cites=True, says=ANSWER)
def retriever() -> Said:
    found = _retriever().invoke(QUESTION, limit=3, file_types=["md"], source_types=["local_file"])
    return Said([d.page_content for d in found], [d.metadata["url"] for d in found])


@judge.call("qaip", "later", cites=True, says=ANSWER)
async def retriever_async() -> Said:
    found = await _retriever().ainvoke(QUESTION)
    return Said([d.page_content for d in found], [d.metadata["url"] for d in found])


@judge.call("qaip", "later", raises="Exception", says="HTTP 401")
def wrong_key() -> Said:
    return Said([str(_retriever(api_key="wrong").invoke(QUESTION))])
