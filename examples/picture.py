"""Draws docs/images/cited-answer.svg: an answer over examples/handbook, as a terminal shows it."""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from langchain_qaip import ChatQaip, cited
from qaip_sandbox import Sandbox

HERE = Path(__file__).parent
PICTURE = HERE.parent / "docs/images/cited-answer.svg"
QUESTION = "When was the light first lit, and when is the next inspection due?"
CODE = (
    "from langchain_qaip import ChatQaip, show",
    f'question = "{QUESTION}"',
    "answer = show(ChatQaip().stream(question))",
)
FONTS = 'ui-monospace, "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace'


def draw() -> str:
    """Return the picture."""
    with Sandbox(HERE / "handbook") as sandbox:
        chat = ChatQaip(api_key=sandbox.env["QAIP_API_KEY"], base_url=sandbox.env["QAIP_BASE_URL"])
        answer = cited(chat.invoke(QUESTION))
    console = Console(
        record=True, width=92, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    for line in CODE:
        console.print(Text.assemble((">>> ", "dim"), line))
    console.print()
    console.print(answer)
    drawn = console.export_svg(title="python", unique_id="cited-answer")
    # Without the fonts that rich would load from the web: a picture in a README may not.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    drawn = drawn.replace("Fira Code, monospace", FONTS)
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(draw(), "utf-8")
    sys.stdout.write(f"{PICTURE}\n")


if __name__ == "__main__":
    main()
