"""The command `qaip`: asks a service, lists its models, looks for what is wrong, explains errors.

The outermost layer: it alone imports the sandbox and rich, where they are used, and nothing in
the core imports it. It works with what every installation has; rich only makes it look better.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, list models, look for what is wrong, or explain an error.

    Parameters:
        arguments: the command line without the program's name; None for that of the process.

    Returns:
        The exit code: 0 when all went well, 1 when a service failed or `doctor` found a fault, 2
        when nothing could be asked as things are (an argument, a key, a missing extra), 130 after
        Ctrl-C.
    """
    from qaip_core.command.options import parser

    if isinstance(sys.stdout, io.TextIOWrapper):  # what this terminal cannot show must not end it
        sys.stdout.reconfigure(errors="replace")
    try:
        try:
            options = parser().parse_args(arguments)
            return int(options.run(options))
        finally:
            sys.stdout.flush()  # a reader that has left is noticed here, and not when Python ends
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from qaip_core.command.failing import told

        code = told(error)
        if code is None:
            raise
        return code
