"""From a task to its answer, and from an answer to the journal."""

from qaip_sandbox.answers import Answer
from qaip_sandbox.index import Filter
from qaip_sandbox.journal import Cited, Said
from qaip_sandbox.service import Call

from ._task import Task

__all__ = ["noted", "sought"]


async def sought(
    call: Call, task: Task, allowed: Filter = lambda _: True, limit: int = 5
) -> Answer:
    """Return the answer to `task` from at most `limit` sources that `allowed` lets through.

    A sandbox with a model of its own has it word the answer, where words are wanted.

    Raises:
        WriterError: that model has failed.
    """
    answer = task.answer(call.library, allowed, limit)
    writer = call.world.writer
    free = task.said is None and task.schema is None and not task.lead
    if writer and free and answer.hits:
        return await writer.write(call.library.index, task.question, answer)
    return answer


def noted(call: Call, task: Task, answer: Answer, text: str) -> str:
    """Write into the journal that `text` was said, with its sources, and return it."""
    sources = tuple(
        Cited(
            hit.chunk.id,
            hit.chunk.url,
            hit.chunk.document.title,
            hit.chunk.text,
            tuple(quote.text for quote in answer.quotes if number in quote.sources),
        )
        for number, hit in enumerate(answer.hits, 1)
    )
    call.record.said.append(Said(task.question, text, sources))
    return text
