"""The command `qaip`."""

__all__ = ["main"]


def main() -> int:
    """Ask, list models, or look for what is wrong."""
    raise NotImplementedError
