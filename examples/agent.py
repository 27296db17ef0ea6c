"""An agent that searches with a citing service: offline, on the sandbox.

It needs the package `langchain`: pip install langchain
"""

import os
from pathlib import Path

from langchain.agents import create_agent
from langchain_core.tools import create_retriever_tool

from langchain_qaip import ChatFireworks, ChatPerplexityAgent
from qaip_sandbox import Sandbox

QUESTION = "When was the first light lit?"


def main() -> None:
    with Sandbox(Path(__file__).parent / "handbook") as sandbox:
        os.environ.update(sandbox.env)  # with real keys instead, this asks the real services
        search = create_retriever_tool(
            ChatPerplexityAgent(model="perplexity/sonar", web_search=True).as_retriever(k=2),
            "search_documents",
            "Searches the handbook of a lighthouse museum.",
            response_format="content_and_artifact",
        )
        agent = create_agent(ChatFireworks(model="accounts/sandbox/models/extractive"), [search])
        state = agent.invoke({"messages": [("user", QUESTION)]})
    for message in state["messages"]:
        print(f"{message.type}: {message.text or message.tool_calls}")
        for source in getattr(message, "artifact", None) or ():
            print(f"  source {source.id}: {source.metadata['url']}")


if __name__ == "__main__":
    main()
