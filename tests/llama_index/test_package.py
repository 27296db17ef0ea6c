"""The package's surface."""

import importlib
import pkgutil

import pytest
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.types import BasePydanticProgram

import llama_index_qaip
from qaip_core import errors as core
from qaip_core.workflow import Workflow

COMPONENTS = (
    BaseLLM,
    BaseRetriever,
    BaseEmbedding,
    BaseNodePostprocessor,
    BasePydanticProgram,
    Workflow,
)
MODULES = [
    "llama_index_qaip",
    *(f"llama_index_qaip.{m.name}" for m in pkgutil.iter_modules(llama_index_qaip.__path__)),
]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_lists_what_it_offers(name: str) -> None:
    module = importlib.import_module(name)
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    assert all(hasattr(module, item) for item in module.__all__)


@pytest.mark.parametrize("module", ["llms", "retrievers", "query_engines"])
def test_what_is_public_is_at_the_root(module: str) -> None:
    public = importlib.import_module(f"llama_index_qaip.{module}").__all__
    assert set(public) <= set(llama_index_qaip.__all__)


@pytest.mark.parametrize("name", llama_index_qaip.__all__)
def test_every_name_at_the_root_is_found_there(name: str) -> None:
    assert getattr(llama_index_qaip, name).__name__ == name
    assert name in dir(llama_index_qaip)


@pytest.mark.parametrize("module", ["qaip", "fireworks", "pais", "perplexity", "dify"])
def test_every_component_of_a_service_is_at_the_root(module: str) -> None:
    own = importlib.import_module(f"llama_index_qaip.{module}")
    offered = {name: getattr(own, name) for name in own.__all__}
    components = {
        name
        for name, made in offered.items()
        if isinstance(made, type) and issubclass(made, COMPONENTS)
    }
    assert components
    assert components <= set(llama_index_qaip.__all__)


def test_the_core_s_errors_have_their_names_here_too() -> None:
    ours = llama_index_qaip.errors
    shared = set(core.__all__) - {"for_status"}
    assert set(ours.__all__) == shared | {"InvalidOutputError"}
    assert all(getattr(ours, name) is getattr(core, name) for name in shared)
