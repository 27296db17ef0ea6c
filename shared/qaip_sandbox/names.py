"""The names of the five services."""

from typing import Literal, get_args

__all__ = ["SERVICE_NAMES", "ServiceName"]

ServiceName = Literal["qaip", "fireworks", "pais", "perplexity", "dify"]

SERVICE_NAMES: tuple[ServiceName, ...] = get_args(ServiceName)
