"""Runs the blocks of a page that are for another package, in that package's environment.

``python former.py`` with JSON on stdin: the name of the environment, and the blocks, each with its
code, the line where it begins and the error that it ends with. What each printed, and what is wrong
with it, goes to stdout as JSON. This runs with the standard library alone; only the sandbox's
variables say where to go.
"""

import ast
import contextlib
import io
import json
import os
import sys
import traceback
from importlib import import_module
from typing import Any

__all__ = ["POINTED", "main"]


def _clients() -> None:
    """dify-client has its address in the code; its users set the attribute."""
    client = import_module("dify_client.client").DifyClient
    made = client.__init__

    def init(self: Any, api_key: str) -> None:
        made(self, api_key)
        self.base_url = os.environ["DIFY_BASE_URL"]

    client.__init__ = init


def _langchain() -> None:
    """The version is in one address and not in the other, and four classes have it in the code."""
    address = os.environ["FIREWORKS_API_BASE"]
    os.environ["FIREWORKS_API_BASE"] = address.removesuffix("/v1")
    os.environ["PPLX_API_KEY"] = os.environ["PERPLEXITY_API_KEY"]
    published: Any = import_module("langchain_qaip.retriever")
    published.QAIP_SEARCH_API_URL = os.environ["QAIP_BASE_URL"] + "/search"
    embeddings: Any = import_module("langchain_fireworks.embeddings")
    made = embeddings.OpenAI
    embeddings.OpenAI = lambda **given: made(**{**given, "base_url": address})
    fireworks = import_module("langchain_fireworks")
    addresses = {fireworks.Fireworks: f"{address}/completions", fireworks.FireworksRerank: address}
    for kind, default in addresses.items():
        kind.model_fields["base_url"].default = default
        kind.model_rebuild(force=True)


def _llama_index() -> None:
    """An address in the signature of a constructor hides the variable that should replace it."""
    os.environ["PPLX_API_KEY"] = os.environ["PERPLEXITY_API_KEY"]
    fireworks: Any = import_module("llama_index.llms.fireworks.base")
    perplexity = import_module("llama_index.llms.perplexity").Perplexity
    made, found = perplexity.__init__, fireworks.get_from_param_or_env

    def init(self: Any, *args: Any, **given: Any) -> None:
        made(self, *args, **{"api_base": os.environ["PERPLEXITY_BASE_URL"], **given})

    def address(name: str, given: Any, variable: str) -> Any:
        return found(name, None if name == "api_base" else given, variable)

    perplexity.__init__ = init
    fireworks.get_from_param_or_env = address


POINTED = {
    "clients": _clients,
    "fireworks-0.15": lambda: None,
    "langchain": _langchain,
    "llama-index": _llama_index,
}
"""How the packages of an environment are led to the sandbox, which no page needs to show."""


def main() -> None:
    """Run the blocks of stdin, in one namespace."""
    asked = json.load(sys.stdin)
    names: dict[str, Any] = {"__name__": "page"}
    with contextlib.redirect_stdout(sys.stderr):
        POINTED[asked["environment"]]()
        found = [_run(block, names) for block in asked["blocks"]]
    json.dump(found, sys.stdout)


def _run(block: dict[str, Any], names: dict[str, Any]) -> tuple[str, str]:
    """Return what a block prints, and what is wrong with it."""
    tree = ast.parse(block["code"])
    ast.increment_lineno(tree, block["line"] - 1)
    out, wanted, wrong = io.StringIO(), block["raises"], ""
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(tree, block["where"], "exec"), names)
            wrong = f"raises no {wanted}" if wanted else ""
        except Exception as error:  # noqa: BLE001 -- the code of a page
            print(f"{type(error).__name__}: {error}")
            wrong = "" if type(error).__name__ == wanted else traceback.format_exc()
    return out.getvalue(), wrong


if __name__ == "__main__":
    main()
