"""Words, sentences and pieces of text, in English and in languages without spaces."""

import re
import unicodedata
from dataclasses import dataclass

__all__ = ["Sentence", "Term", "fold", "pieces", "sentences", "slug", "terms", "words"]

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

_STOP_WORDS = frozenset(
    """a about all also am an and any are as at be because been before being between both but
    by can could describe did do does doing each exactly explain find for from get gets give
    go goes got had happen happens has have having he her here hers him his how i if in into
    is it its just know let list long many may me mean means might more most much must my need
    needs no not of often on once only or other our ours out over own please say shall she
    should show so some such summarise summarize take takes tell than that the their theirs
    them then there these they this those through to too under until up us use used very was
    we were what whats when where which while who whom whose why will with work works would
    you your yours""".split()  # noqa: SIM905 - a table of words reads best as words
)
_JAPANESE_FILLERS = re.compile(
    r"何[日時円人個年月分回]?|誰|ください|下さい|教えて|について|でしょうか|ですか|ますか|ません|ました"
    r"|します|とは|です|ます|どの|どこ|どう|どれ|いつ|いくら|なに|なん|だれ|これ|それ|あれ|この|その|あの"
)
_SUFFIXES = ("ies", "ing", "ed", "es", "s", "y")

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

    `stem` is its unchanging part; `prefix` says that the stem must begin a word of the text, which
    holds for spaced scripts only.
    """

    stem: str
    prefix: bool


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, verbatim, with its offsets in characters from the start of the text."""

    text: str
    start: int
    end: int


def fold(text: str) -> str:
    """Return `text` without the differences of case, width and Latin accents."""
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


def terms(question: str) -> list[Term]:
    """Return the content words of `question` without repeats, in order of appearance.

    Stop words are left out. Runs of Han and Hangul characters longer than two become overlapping
    pairs, because nothing marks the words in them.
    """
    found: dict[Term, None] = {}
    kana: list[str] = []
    for run in _RUN.finditer(_JAPANESE_FILLERS.sub(" ", fold(question))):
        kind, text = str(run.lastgroup), run[0]
        if kind == "hiragana":
            kana.extend([text] if len(text) > 1 else [])
        else:
            found.update(dict.fromkeys(_terms_of_run(kind, text)))
    if not found:
        found.update(dict.fromkeys(Term(g, prefix=False) for run in kana for g in _grams(run, 3)))
    return list(found)


def _terms_of_run(kind: str, text: str) -> list[Term]:
    if kind == "word":
        stop = text in _STOP_WORDS or (len(text) == 1 and not text.isdigit())
        return [] if stop else [Term(_stem(text), prefix=True)]
    if kind == "katakana":
        return [Term(text, prefix=False)]
    return [Term(gram, prefix=False) for gram in _grams(text, 2)]


def _grams(text: str, size: int) -> list[str]:
    if len(text) <= size:
        return [text]
    return [text[i : i + size] for i in range(len(text) - size + 1)]


def _stem(word: str) -> str:
    if word.endswith("ss"):
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            return word.removesuffix(suffix)
    return word


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
