"""Making a JSON value that conforms to a schema, out of what a prompt and its answer offer."""

import math
from collections.abc import Callable, Iterator, Mapping

from ._wire import Json
from .clues import Clues, Grade, is_prose
from .schemas import Impossible, Schema, conforms, has_match, plain, types_of

__all__ = ["instance"]

_BUDGET = 5000
_CHOICES = ("anyOf", "oneOf")

_LONGEST = 10_000  # characters of a text that a schema may demand


class _Nothing(Exception):  # noqa: N818 - the prompt is allowed to say nothing
    """The prompt and the answer offer nothing of the grade that is asked for."""


def instance(schema: Json, clues: Clues) -> Json:
    """Return a value that conforms to `schema`.

    Numbers, quoted strings, places and names come from the prompt, everything else from the
    answer, or from the prompt where there is none. Optional properties are filled too, but null
    stands where nothing is left for them.

    Raises:
        Impossible: there is no such value, or none that the sandbox can find.
    """
    try:
        value = _Maker(schema, clues).make(schema, "", frozenset(["#"]))
        if conforms(value, schema, schema):
            return value
    except _Nothing:
        pass
    except RecursionError:
        raise Impossible("it is too deep") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, Impossible):
            raise
        raise Impossible("it is not a valid JSON Schema") from None
    raise Impossible("the sandbox finds no value that conforms to it")


class _Maker:
    """Makes the values of one schema; `path` holds the references that lead to a part of it."""

    def __init__(self, root: Json, clues: Clues) -> None:
        self._root = root
        self._clues = clues
        self._left = _BUDGET
        self._makers: Mapping[str, Callable[[Schema, str, frozenset[str], Grade], Json]] = {
            "null": lambda *_: None,
            "boolean": self._boolean,
            "integer": self._number,
            "number": self._number,
            "string": self._string,
            "array": self._array,
            "object": self._object,
        }

    def make(self, schema: Json, name: str, path: frozenset[str], grade: Grade = Grade.ANY) -> Json:
        """Return a value for the part `schema`, which `name` names."""
        self._left -= 1
        if self._left < 0:
            raise Impossible("it is too large")
        table, refs = plain(schema, self._root)
        if grade is Grade.ANY and table.get("default") is not None:
            return self._or_default(table, name, path | refs)
        return self._made(table, name, path | refs, grade, recursive=bool(refs & path))

    def _or_default(self, table: Schema, name: str, path: frozenset[str]) -> Json:
        default = table["default"]
        bare = {key: value for key, value in table.items() if key != "default"}
        if not conforms(default, bare, self._root):
            return self._made(bare, name, path, Grade.ANY)
        return next(self._tries([bare], table, name, path, Grade.SURE), default)

    def _made(
        self,
        table: Schema,
        name: str,
        path: frozenset[str],
        grade: Grade,
        *,
        recursive: bool = False,
    ) -> Json:
        if "const" in table:
            return table["const"]
        if "enum" in table:
            return self._option(table, grade)
        for key in _CHOICES:
            if key in table:
                rest = {k: v for k, v in table.items() if k not in (key, "default")}
                branches = [{"allOf": [rest, branch]} if rest else branch for branch in table[key]]
                return self._chosen(branches, table, name, path, grade, recursive=recursive)
        kinds = types_of(table) or ["string"]
        if len(kinds) != 1:
            branches = [{**table, "type": kind} for kind in kinds]
            return self._chosen(branches, table, name, path, grade, recursive=recursive)
        if kinds[0] not in self._makers:
            raise Impossible(f"{kinds[0]!r} is no type")
        return self._makers[kinds[0]](table, name, path, grade)

    def _chosen(
        self,
        branches: list[Json],
        table: Schema,
        name: str,
        path: frozenset[str],
        grade: Grade,
        *,
        recursive: bool,
    ) -> Json:
        nulls = [branch for branch in branches if self._allows_null(branch)]
        others = [branch for branch in branches if branch not in nulls]
        nullable = bool(nulls) and conforms(None, table, self._root)
        if nullable and grade is Grade.ANY:
            if recursive or all(self._recurs(branch, path) for branch in others):
                return None
            tried = self._tries(others, table, name, path, Grade.FRESH)
            return next(tried, None)
        # The branch that ends a recursion goes first, then the one that the prompt speaks of.
        others.sort(key=lambda branch: (self._recurs(branch, path), not self._spoken_of(branch)))
        for value in self._tries(others, table, name, path, grade):
            return value
        raise _Nothing

    def _tries(
        self,
        branches: list[Json],
        table: Schema,
        name: str,
        path: frozenset[str],
        grade: Grade,
    ) -> Iterator[Json]:
        for branch in branches:
            mark = self._clues.mark()
            try:
                value = self.make(branch, name, path, grade)
            except (_Nothing, Impossible):
                if self._left < 0:
                    raise
            else:
                if conforms(value, table, self._root):
                    yield value
            self._clues.restore(mark)

    def _allows_null(self, branch: Json) -> bool:
        table, _ = plain(branch, self._root)
        return types_of(table) == ["null"] or ("const" in table and table["const"] is None)

    def _recurs(self, schema: Json, path: frozenset[str]) -> bool:
        return bool(plain(schema, self._root)[1] & path)

    def _spoken_of(self, branch: Json) -> bool:
        table, _ = plain(branch, self._root)
        parts = [plain(part, self._root)[0] for part in table.get("properties", {}).values()]
        words = [table.get("title"), *(part.get("const") for part in parts)]
        return any(self._clues.mentions(word) for word in words)

    def _option(self, table: Schema, grade: Grade) -> Json:
        options = [o for o in table["enum"] if conforms(o, table, self._root)]
        mentioned = self._clues.option(options)
        if mentioned is not None:
            return mentioned
        if not options:
            raise Impossible("one of its enums has no option")
        if grade < Grade.ANY:
            raise _Nothing
        return None if None in options else options[0]

    def _boolean(self, _: Schema, name: str, __: frozenset[str], grade: Grade) -> Json:
        return _some(self._clues.flag(name, grade))

    def _number(self, table: Schema, name: str, _: frozenset[str], grade: Grade) -> Json:
        def fits(value: Json) -> bool:
            return conforms(value, table, self._root)

        found = self._clues.number(name, fits, grade)
        if found is None and grade is Grade.ANY:
            found = next(filter(fits, _round_numbers(table)), None)
        if found is None:
            raise _Nothing
        return int(found) if "integer" in types_of(table) else found

    def _string(self, table: Schema, name: str, _: frozenset[str], grade: Grade) -> Json:
        def fits(text: str) -> str | None:
            text = text[: table.get("maxLength", len(text))]
            if table.get("minLength", 0) > _LONGEST:
                raise Impossible("it wants too long a text")
            text = text.ljust(table.get("minLength", 0), ".")
            return text if conforms(text, table, self._root) else None

        text = self._clues.formatted(str(table.get("format")), grade)
        if text is None:
            text = self._clues.string(name, fits, grade)
        return _some(text)

    def _array(self, table: Schema, name: str, path: frozenset[str], grade: Grade) -> Json:
        if grade is Grade.SURE:
            raise _Nothing
        firsts = table.get("prefixItems", [])
        rest = table.get("items", True)
        least = max(table.get("minItems", 0), len(firsts))
        made = [self.make(item, name, path) for item in firsts]
        for _ in range(max(self._length(table, path), least) - len(firsts)):
            made.append(self._another(rest, made, table, name, path))
        return made

    def _length(self, table: Schema, path: frozenset[str]) -> int:
        """Count the items for which there are clues, one at least; none if they never end."""
        if "items" not in table or table["items"] is False or self._recurs(table["items"], path):
            return 0
        kinds = types_of(plain(table["items"], self._root)[0])
        wanted = 1
        if "string" in kinds:
            wanted = self._clues.left("quoted")
        elif "integer" in kinds or "number" in kinds:
            wanted = self._clues.left("number")
        return min(max(wanted, 1), int(table.get("maxItems", wanted + 1)))

    def _another(
        self, item: Json, made: list[Json], table: Schema, name: str, path: frozenset[str]
    ) -> Json:
        """Return one more item of an array, unlike the others if it must be."""
        value = self.make(item, name, path)
        if not table.get("uniqueItems"):
            return value
        unique = {"uniqueItems": True}
        for other in (value, *self._variants(item, value)):
            if conforms([*made, other], unique, None) and conforms(other, item, self._root):
                return other
        raise Impossible("it wants more unlike items than there are")

    def _variants(self, item: Json, value: Json) -> Iterator[Json]:
        table, _ = plain(item, self._root)
        yield from table.get("enum", [])
        for number in range(2, 100):
            if isinstance(value, str):
                end = f" {number}"
                yield value[: table.get("maxLength", len(value) + 9) - len(end)] + end
            elif isinstance(value, int | float):
                yield value + (number - 1) * table.get("multipleOf", 1)

    def _object(self, table: Schema, name: str, path: frozenset[str], grade: Grade) -> Json:
        if grade is Grade.SURE:
            raise _Nothing
        properties: Schema = table.get("properties", {})
        required: list[str] = table.get("required", [])
        wanted = [
            key
            for key in properties
            if key in required
            or not (properties[key] is False or self._recurs(properties[key], path))
        ]
        # A short value has the better claim to what the prompt quotes than a description.
        made = {key: self.make(properties[key], key, path) for key in sorted(wanted, key=is_prose)}
        found = {key: made[key] for key in wanted}
        more, patterns = table.get("additionalProperties", True), table.get("patternProperties", {})
        spare = (f"{name or 'key'}{n}" for n in range(1, 100))
        least = table.get("minProperties", 0)
        for key in (*(k for k in required if k not in properties), *spare):
            if key not in required and len(found) >= least:
                break
            parts = [part for pattern, part in patterns.items() if has_match(pattern, key)]
            found[key] = self.make({"allOf": parts} if parts else more, key, path)
        return self._fewer(found, table)

    def _fewer(self, found: Schema, table: Schema) -> Schema:
        extra = len(found) - table.get("maxProperties", len(found))
        optional = [key for key in found if key not in table.get("required", [])]
        for key in reversed(optional[len(optional) - extra :] if extra > 0 else []):
            del found[key]
        return found


def _some(value: Json) -> Json:
    if value is None:
        raise _Nothing
    return value


def _round_numbers(table: Schema) -> Iterator[int | float]:
    """Yield the numbers that a schema's bounds suggest, the plainest first."""
    yield from (0, 1)
    low = [table[key] for key in ("minimum", "exclusiveMinimum") if key in table]
    high = [table[key] for key in ("maximum", "exclusiveMaximum") if key in table]
    step = table.get("multipleOf", 1)
    for bound in low:
        yield from (bound, math.ceil(bound), (math.floor(bound / step) + 1) * step)
    for bound in high:
        yield from (bound, math.floor(bound), (math.ceil(bound / step) - 1) * step)
    if low and high:
        yield (max(low) + min(high)) / 2
