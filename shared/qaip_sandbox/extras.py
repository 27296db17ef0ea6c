"""What is said where a package is missing that an extra would have brought."""

__all__ = ["missing"]


def missing(package: str, extra: str = "sandbox") -> str:
    """Return what to tell the user: what is missing, and the line that installs it.

    Args:
        package: The package, or a module of it.
        extra: The extra that brings it.
    """
    name = package.partition(".")[0]
    return f'{name} is missing: pip install "qaip-integrations[{extra}]"'
