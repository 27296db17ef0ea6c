"""`Job`: a run as it was asked for, checked before anything is sent."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from qaip_core import errors
from qaip_core.backends import SERVICES
from qaip_core.bulk.plan import Plan
from qaip_core.bulk.prices import Prices
from qaip_core.errors import InvalidParameterError

if TYPE_CHECKING:
    from qaip_core.bulk.tables import Dataset

__all__ = ["Engine", "Job", "Options"]

Engine: TypeAlias = Literal["ray", "local"]


class Options(TypedDict, total=False):
    """How a table is answered; `langchain_qaip.bulk.answer_dataset` tells what each means."""

    engine: Engine
    id_column: str | None
    prefix: str
    concurrency: int
    workers: int
    requests_per_second: float | Mapping[str, float] | None
    retry_failed: bool | Sequence[str]
    budget_tokens: int | None
    budget_cost: float | None
    prices: Prices | None
    stop_after: int
    progress: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run that can begin.

    Parameters:
        dataset: what is read.
        columns: that of the question, or several of a dict.
        output: the file that is written.
        prefix: stands before the names of the columns that are added.
        plan: the limits.
        prices: what tokens cost, where the service does not tell.
        engine: "ray" or "local".
        progress: whether the run shows how far it is.
    """

    dataset: Dataset
    columns: str | tuple[str, ...]
    output: Path
    prefix: str
    plan: Plan
    prices: Prices | None
    engine: Engine
    progress: bool

    @property
    def asked(self) -> tuple[str, ...]:
        """The columns that are read for the question."""
        return (self.columns,) if isinstance(self.columns, str) else self.columns

    @property
    def folder(self) -> Path:
        """Where the ledger and the report are."""
        return self.output.with_name(f"{self.output.name}.run")

    @property
    def ledger(self) -> Path:
        """The file of the ledger."""
        return self.folder / "ledger.sqlite"

    def facts(self, model: str) -> dict[str, str]:
        """Return what the answers depend on, which must not change from run to run.

        Parameters:
            model: what is asked; see `Asker.describe`.
        """
        return {
            **self.dataset.facts,
            "question_column": self.columns if isinstance(self.columns, str) else str(self.columns),
            "model": model,
        }

    @classmethod
    def of(
        cls,
        dataset: Any,
        question_column: str | Sequence[str],
        output: str | PathLike[str],
        options: Options,
    ) -> Job:
        """Return a run whose parameters are sound.

        Raises:
            InvalidParameterError: one of them is not, or does not fit the dataset.
            ImportError: what reads tables, or the engine, is not installed.
        """
        unknown = options.keys() - Options.__annotations__.keys()
        if unknown:
            known = ", ".join(Options.__annotations__)
            raise InvalidParameterError(f"unknown: {', '.join(sorted(unknown))}; there are {known}")
        engine = options.get("engine", "ray")
        if engine not in ("ray", "local"):
            raise InvalidParameterError(f'engine is "ray" or "local", not {engine!r}')
        _need("pyarrow")
        if engine == "ray":
            _need("ray")
        from qaip_core.bulk.tables import check_columns, check_output, check_questions

        prices = options.get("prices")
        if not (prices is None or isinstance(prices, Prices)):
            raise InvalidParameterError(f"prices is Prices(input=..., ...), not {prices!r}")
        columns = question_column if isinstance(question_column, str) else tuple(question_column)
        prefix = options.get("prefix", "")
        data = _dataset(dataset, options.get("id_column"))
        check_questions(data.schema, columns)
        check_columns(data.schema, prefix)
        return cls(
            dataset=data,
            columns=columns,
            output=check_output(output, data),
            prefix=prefix,
            plan=_plan(options, engine),
            prices=prices,
            engine=engine,
            progress=options.get("progress", True),
        )


def _dataset(source: Any, id_column: str | None) -> Dataset:
    if type(source).__module__.partition(".")[0] == "ray":
        from qaip_core.bulk.onray import RayDataset

        return RayDataset.of(source, id_column=id_column)
    from qaip_core.bulk.tables import Dataset

    return Dataset.of(source, id_column=id_column)


def _plan(options: Options, engine: Engine) -> Plan:
    rates = options.get("requests_per_second")
    again = options.get("retry_failed", False)
    again = [again] if isinstance(again, str) else again
    _check_types([] if isinstance(again, bool) else again)
    given = rates if isinstance(rates, Mapping) else {} if rates is None else {"": rates}
    if others := given.keys() - {"", *_SERVICES}:
        raise InvalidParameterError(
            f"requests_per_second knows no {', '.join(map(repr, others))}; there are "
            f"{', '.join(_SERVICES)}"
        )
    workers = _whole("workers", options.get("workers", 2))
    tokens, cost = options.get("budget_tokens"), options.get("budget_cost")
    rated = [("requests_per_second", rate) for rate in given.values()]
    for name, value in (*rated, ("budget_tokens", tokens), ("budget_cost", cost)):
        if value is not None and not (isinstance(value, int | float) and value > 0):
            raise InvalidParameterError(f"{name} is a number above 0, not {value!r}")
    return Plan(
        concurrency=_whole("concurrency", options.get("concurrency", 32)),
        workers=workers if engine == "ray" else 1,
        rates={name: rate for name, rate in given.items() if rate is not None},
        budget_tokens=tokens,
        budget_cost=cost,
        retry_failed=again if isinstance(again, bool) else frozenset(again),
        stop_after=_whole("stop_after", options.get("stop_after", 100)),
    )


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or value < 1:
        raise InvalidParameterError(f"{name} is a whole number from 1, not {value!r}")
    return value


def _check_types(names: Iterable[str]) -> None:
    """Refuse what looks like a misspelt error; chains raise those of other packages, too."""
    for name in names:
        near = difflib.get_close_matches(name, errors.__all__, 1, 0.8)
        if near and name not in errors.__all__:
            raise InvalidParameterError(
                f"retry_failed knows no {name!r}; did you mean {near[0]!r}?"
            )


_SERVICES = (*SERVICES, "openid")  # whose requests pass the gate

_NEEDED_BY = {"pyarrow": "Tables are read by pyarrow", "ray": 'engine="ray" needs Ray'}


def _need(package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        other = ', or pass engine="local"' if package == "ray" else ""
        raise ImportError(
            f'{_NEEDED_BY[package]}: pip install "qaip-integrations[bulk]"{other}', name=package
        )
