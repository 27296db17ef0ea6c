"""The perplexityai package, strict about what the service answers."""

from typing import Any

__all__ = ["async_client", "client"]


def client(**more: Any) -> Any:
    """Return a client."""
    from perplexity import Perplexity

    return Perplexity(**{"max_retries": 0, "_strict_response_validation": True, **more})


def async_client() -> Any:
    """Return an asynchronous client."""
    from perplexity import AsyncPerplexity

    return AsyncPerplexity(max_retries=0, _strict_response_validation=True)
