"""Finds the files that a dataset is made of, and names them so that names stay when others come."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from qaip_core.errors import InvalidParameterError

__all__ = ["FORMATS", "Found", "find", "format_of"]

FORMATS: Mapping[str, str] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


@dataclass(frozen=True, slots=True)
class Found:
    """Files of one format.

    Parameters:
        format: "parquet", "csv" or "jsonl".
        files: their paths by their names, sorted.
        pattern: what further files must match to belong to them; None if none can.
    """

    format: str
    files: Mapping[str, Path]
    pattern: str | None = None

    def holds(self, path: Path) -> bool:
        """Tell whether a file is one of them, or would be, were it there."""
        full = path.resolve()
        known = any(full == file.resolve() for file in self.files.values())
        return known or (self.pattern is not None and fnmatch(str(full), self.pattern))


def format_of(path: Path, *, packed: bool = False) -> str | None:
    """Return the format that a file's name tells; None for others than ours.

    Parameters:
        packed: whether text may be packed by gzip.
    """
    name = path.name.lower()
    if packed and name.endswith(".gz"):
        inner = FORMATS.get(Path(name[:-3]).suffix)
        return None if inner == "parquet" else inner
    return FORMATS.get(Path(name).suffix)


def find(source: Any) -> Found | None:
    """Return the files that a source names; None if it names none, as a table in memory.

    Raises:
        InvalidParameterError: there are none, or they are of several formats.
    """
    if isinstance(source, str | os.PathLike):
        return _named_in_utf8(_at(Path(_local(source))))
    if isinstance(source, list | tuple) and source and all(map(_is_file, source)):
        paths = [Path(_local(item)) for item in source]
        return _named_in_utf8(Found(_one_format(paths, source), _named(paths)))
    return None


def _named_in_utf8(found: Found) -> Found:
    """Refuse names that no table can hold: rows are known by their files'."""
    for name in found.files:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            shown = os.fsencode(name)
            raise InvalidParameterError(
                f"the name of the file {shown!r} is no UTF-8: rename it"
            ) from error
    return found


def _is_file(item: Any) -> bool:
    """Tell whether an item of a list is a file rather than a question."""
    named = isinstance(item, str) and format_of(Path(item), packed=True) is not None
    return named or isinstance(item, os.PathLike)


def _local(source: Any) -> str:
    path: str = os.fspath(source)
    if "://" in path:
        what = "is not on this machine: copy it here, or read it with ray.data and pass that"
        raise InvalidParameterError(f"{path!r} {what}")
    return os.path.expanduser(path)


def _at(path: Path) -> Found:
    if path.is_dir():
        return _below(path, glob.escape(str(path.resolve())) + os.sep + "*")
    if not path.exists() and glob.has_magic(str(path)):
        return _matching(path)
    return Found(_one_format([path], path), {path.name: path})


def _below(folder: Path, pattern: str) -> Found:
    paths = [path for path in folder.rglob("*") if _belongs(path.relative_to(folder))]
    paths = [path for path in paths if path.is_file()]
    return Found(_one_format(paths, folder), _relative(paths, folder), pattern)


def _belongs(path: Path) -> bool:
    """Tell whether a file in a folder is data, and neither hidden nor of a run of ours."""
    hidden = any(part.startswith((".", "_")) or part.endswith(".run") for part in path.parts)
    return not hidden and format_of(path, packed=True) is not None


def _matching(pattern: Path) -> Found:
    paths = [Path(path) for path in glob.glob(str(pattern), recursive=True)]
    paths = [path for path in paths if path.is_file()]
    parts = pattern.parts
    fixed = next(n for n, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed])
    full = os.path.join(glob.escape(str(root.resolve())), *parts[fixed:])
    return Found(_one_format(paths, pattern), _relative(paths, root), full)


def _one_format(paths: Sequence[Path], source: Any) -> str:
    if not paths:
        known = ", ".join(FORMATS)
        raise InvalidParameterError(f"{os.fspath(source)!r} holds no file of {known}")
    formats = dict.fromkeys(_known_format(path) for path in paths)
    if len(formats) > 1:
        raise InvalidParameterError(
            f"the dataset's files are of several formats ({', '.join(formats)}): choose one, "
            'such as "folder/*.parquet"'
        )
    return next(iter(formats))


def _known_format(path: Path) -> str:
    kind = format_of(path, packed=True)
    if kind is None:
        known = ", ".join(FORMATS)
        raise InvalidParameterError(f"{path} is none of {known} (the latter three also with .gz)")
    if not path.is_file():
        raise InvalidParameterError(f"there is no file {path}")
    return kind


def _relative(paths: Iterable[Path], folder: Path) -> dict[str, Path]:
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return dict(sorted(named.items()))


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Name listed files by their own names, or by where they are where these are not unique."""
    if max(Counter(path.name for path in paths).values()) == 1:
        return dict(sorted({path.name: path for path in paths}.items()))
    full = {path.resolve(): path for path in paths}
    if len(full) < len(paths):
        raise InvalidParameterError("a file is listed twice")
    folder = os.path.commonpath([path.parent for path in full])
    named = {path.relative_to(folder).as_posix(): given for path, given in full.items()}
    return dict(sorted(named.items()))
