"""What Dify offers beside its first calls."""

from __future__ import annotations

__all__: list[str] = []
