"""What VMware Private AI Services offers beside its first calls."""

from __future__ import annotations

__all__: list[str] = []
