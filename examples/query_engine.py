"""A query engine that answers with sources, and an agent that uses it: offline, on the sandbox."""

import asyncio
import os
from pathlib import Path

from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index.core.tools import QueryEngineTool

from llama_index_qaip import Fireworks, Perplexity
from qaip_sandbox import Sandbox

QUESTION = "When was the first light lit?"


async def main() -> None:
    with Sandbox(Path(__file__).parent / "handbook") as sandbox:
        os.environ.update(sandbox.env)  # with real keys instead, this asks the real services
        async with (
            Perplexity(model="sonar") as searcher,
            Fireworks(model="accounts/sandbox/models/extractive") as thinker,
        ):
            engine = searcher.as_query_engine(streaming=True)
            response = await engine.aquery(QUESTION)
            async for text in response.async_response_gen():
                print(text, end="", flush=True)
            print("\n", response.get_formatted_sources(), sep="\n")

            search = QueryEngineTool.from_defaults(
                searcher.as_query_engine(),
                name="search_documents",
                description="Searches the handbook of a lighthouse museum.",
            )
            run = FunctionAgent(tools=[search], llm=thinker).run(QUESTION)
            async for event in run.stream_events():
                if isinstance(event, ToolCallResult):
                    print(f"{event.tool_name}({event.tool_kwargs})")
                    for source in event.tool_output.raw_output.source_nodes:
                        print(f"  source {source.node_id}: {source.node.metadata['url']}")
            print(await run)


if __name__ == "__main__":
    asyncio.run(main())
