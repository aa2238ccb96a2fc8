"""How a program ends that starts others: it ends them first, whichever way it is told to."""

import signal
import sys
from collections.abc import Callable
from typing import NoReturn


def run(main: Callable[[], int]) -> NoReturn:
    """Do it, and exit with the status that it returns. SIGTERM unwinds it as Ctrl-C does; the status is 130 then."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
