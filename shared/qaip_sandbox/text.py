"""Words, sentences and pieces of text, in English and in languages without spaces."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import snowballstemmer  # type: ignore[import-untyped]

__all__ = [
    "Sentence",
    "Term",
    "fold",
    "pieces",
    "sentences",
    "slug",
    "terms",
    "tokens",
    "words",
]

# Kana, Han ideographs and Hangul: scripts whose words are not, or not reliably, spaced apart.
_HAN = "\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_KATAKANA = "\u30a0-\u30ff\uff66-\uff9f"
_HIRAGANA = "\u3041-\u309f"
_HANGUL = "\uac00-\ud7af"
_CJK = _HAN + _KATAKANA + _HIRAGANA + _HANGUL

_PIECE = re.compile(rf"\s*(?:\[\d+\]|[{_CJK}]|[^\W{_CJK}]+|[^\w\s])|\s+")
_WORD = re.compile(rf"[^\W{_CJK}]+")
_RUN = re.compile(
    rf"(?P<word>[^\W{_CJK}]+)|(?P<han>[{_HAN}]+)|(?P<katakana>[{_KATAKANA}]+)"
    rf"|(?P<hangul>[{_HANGUL}]+)|(?P<hiragana>[{_HIRAGANA}]+)"
)

_RUNS = re.compile(rf"(?P<word>[^\W{_CJK}]+)|(?P<unspaced>(?:(?![\W_])[{_CJK}])+)")
_ALONE = re.compile(f"[{_HAN}{_HANGUL}]")

_STOP_WORDS = frozenset(
    """a about all also am an and any are as at be because been before being between both but
    by can could describe did do does doing each exactly explain find for from get gets give
    go goes got had happen happens has have having he her here hers him his how i if in into
    is it its just know let like list long many may me mean means might more most much must my need
    needs no not of off often on once only or other our ours out over own please say shall she
    should show so some such summarise summarize take takes tell than that the their theirs
    them then there these they this those through to too under until up us use used very was
    we were what whats when where which while who whom whose why will with work works would
    you your yours""".split()  # noqa: SIM905 - a table of words reads best as words
)
_JAPANESE_FILLERS = re.compile(
    r"何[日時円人個年月分回]?|誰|ください|下さい|教えて|について|でしょうか|ですか|ますか|ません|ました"
    r"|します|とは|です|ます|どの|どこ|どう|どれ|いつ|いくら|なに|なん|だれ|これ|それ|あれ|この|その|あの"
)
# Names in code are words written together: tokenUrlsafe, HTTPServer.
_QUOTED = re.compile(r"`(\w+)`")
_HUMP = re.compile(r"_+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_stemmer = snowballstemmer.stemmer("english")
_stemming = Lock()

_BREAK = re.compile(
    r"(?<=[.!?])(?:[\"'”’)\]]|\[\d+\])*\s+(?![a-z])"  # not before a small letter: "e.g. this"
    r"|(?<=[。！？])[」』）]*"
    r"|\n\s*\n"
    r"|\n(?=[ \t]*(?:[-*+|>]|\d+[.)]|`{3})[ \t]?)"
)
_LEAD = re.compile(r"(?:\s|[-*+>][ \t]|\d+[.)][ \t]|#{1,6}[ \t]|`{3}\w*)+")


def _unaccented() -> dict[int, str]:
    latin = [*range(0xC0, 0x250), *range(0x1E00, 0x1F00)]
    return {code: unicodedata.normalize("NFD", chr(code))[0] for code in latin}


_UNACCENTED = _unaccented()


@dataclass(frozen=True, slots=True)
class Term:
    """One content word of a question.

    `stem` is its unchanging part; `prefix` says that it is a word of a spaced script, of which
    the text must hold a form. Any other stem may stand anywhere in the text.
    """

    stem: str
    prefix: bool

    @property
    def tokens(self) -> tuple[str, ...]:
        """What an index must know of a text that holds the term."""
        pairs = () if self.prefix else tuple(t for t in tokens(self.stem) if len(t) > 1)
        return pairs or (self.stem,)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, verbatim, with its offsets in characters from the start of the text."""

    text: str
    start: int
    end: int


def fold(text: str) -> str:
    """Return `text` without the differences of case, width and Latin accents."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).casefold().translate(_UNACCENTED)


def words(text: str) -> list[str]:
    """Return the folded words of the spaced scripts in `text`."""
    return _WORD.findall(fold(text))


def pieces(text: str) -> list[str]:
    """Split `text` into word-sized pieces that join to it again.

    A piece is a word, a character of a script without spaces, a punctuation mark or a whole `[n]`
    marker, each with the white space before it. The sandbox counts one token for every piece, so
    its counts are deterministic but are not those of any real tokenizer.
    """
    return _PIECE.findall(text)


def slug(text: str) -> str:
    """Return `text` as the anchor of a heading: small letters, digits and hyphens."""
    return re.sub(r"[^\w]+", "-", fold(text)).strip("-_") or "top"


def tokens(text: str) -> list[str]:
    """Return what an index knows of `text`: stems of words, and pairs of unspaced characters.

    A name in code (`token_urlsafe`, `HTTPServer`) yields its words and the whole name. Han and
    Hangul characters stand alone, too.
    """
    if text.isascii():
        return [token for word in _WORD.findall(text) for token in _word_tokens(word)]
    found: list[str] = []
    for run in _RUNS.finditer(_normal(text)):
        found.extend(_word_tokens(run[0]) if run.lastgroup == "word" else _pairs(run[0]))
    return found


def terms(question: str) -> list[Term]:
    """Return the content words of `question` without repeats, in order of appearance.

    Stop words are left out, but for those in backticks, which are names. Runs of Han and Hangul
    characters longer than two become overlapping pairs, because nothing marks the words in them.
    """
    found: dict[Term, None] = {}
    kana: list[str] = []
    asked = _JAPANESE_FILLERS.sub(" ", _normal(question))
    quoted = {match[1] for match in _QUOTED.finditer(asked)}
    for run in _RUN.finditer(asked):
        kind, text = str(run.lastgroup), run[0]
        if kind == "hiragana":
            kana.extend([text] if len(text) > 1 else [])
        else:
            found.update(dict.fromkeys(_terms_of_run(kind, text, text in quoted)))
    if not found:
        found.update(dict.fromkeys(Term(g, prefix=False) for run in kana for g in _grams(run, 3)))
    return list(found)


def _normal(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _terms_of_run(kind: str, text: str, quoted: bool) -> list[Term]:
    if kind == "word":
        folded = fold(text)
        stop = folded in _STOP_WORDS or (len(folded) == 1 and not folded.isdigit())
        if stop and not quoted:
            return []
        return [Term(token, prefix=True) for token in _word_tokens(text)]
    if kind == "katakana":
        return [Term(text, prefix=False)]
    return [Term(gram, prefix=False) for gram in _grams(text, 2)]


@lru_cache(maxsize=1 << 16)
def _word_tokens(word: str) -> tuple[str, ...]:
    parts = [fold(part) for part in _HUMP.split(word) if part]
    whole = ["".join(parts)] if len(parts) > 1 else []
    with _stemming:  # a stemmer works on one word at a time
        return (*(_stemmer.stemWord(part) for part in parts), *whole)


def _pairs(run: str) -> Iterator[str]:
    yield from (char for char in run if _ALONE.match(char))
    yield from (pair for pair in _grams(run, 2) if len(pair) > 1)


def _grams(text: str, size: int) -> list[str]:
    if len(text) <= size:
        return [text]
    return [text[i : i + size] for i in range(len(text) - size + 1)]


def sentences(text: str) -> list[Sentence]:
    """Cut `text` into sentences, each an unchanged slice of it.

    A sentence ends at `.`, `!` or `?` before white space, at `。`, `！` or `？`, at an empty line
    and before an item of a list. List markers and code fences at its beginning are left out.
    """
    found: list[Sentence] = []
    start = 0
    for match in [*_BREAK.finditer(text), None]:
        end = match.end() if match else len(text)
        part = text[start:end]
        lead = _LEAD.match(part)
        begin = start + (lead.end() if lead else 0)
        stripped = text[begin:end].rstrip()
        if any(char.isalnum() for char in stripped):
            found.append(Sentence(stripped, begin, begin + len(stripped)))
        start = end
    return found
