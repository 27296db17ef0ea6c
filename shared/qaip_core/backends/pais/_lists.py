"""What the models of both frameworks tell of their site: its models, its agents.

It is imported with the models, so it imports what it needs when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qaip_core.backends.pais.listing import Reaches, Resource
    from qaip_core.types import ModelInfo

__all__ = ["ListsAgents", "ListsModels"]


class ListsModels:
    """Lists the model endpoints of a site."""

    def list_models(self: Reaches, model_type: str | None = None) -> list[ModelInfo]:
        """Return the models that the site serves (GET /models).

        Parameters:
            model_type: only those of a type, such as "COMPLETIONS" or "EMBEDDINGS"; None for all.

        Returns:
            The models; type and engine stand in their ``metadata``. Context sizes are not
            documented: they are there if the engine behind the gateway tells them.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        from qaip_core.backends.pais import listing

        models = self.fetch(listing.MODELS)
        return listing.of_type(models, model_type)

    async def alist_models(self: Reaches, model_type: str | None = None) -> list[ModelInfo]:
        """Do what `list_models` does, without blocking."""
        from qaip_core.backends.pais import listing

        models = await self.afetch(listing.MODELS)
        return listing.of_type(models, model_type)


class ListsAgents:
    """Lists the agents of a site."""

    def list_agents(self: Reaches) -> list[Resource]:
        """Return the agents of the site (GET /agents).

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        from qaip_core.backends.pais import listing

        return listing.all_of(self, listing.AGENTS)

    async def alist_agents(self: Reaches) -> list[Resource]:
        """Do what `list_agents` does, without blocking."""
        from qaip_core.backends.pais import listing

        return await listing.all_of_async(self, listing.AGENTS)
