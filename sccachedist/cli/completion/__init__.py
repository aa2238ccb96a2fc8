"""What shells complete ``sccachedist`` with, as ``make commands`` makes it from the command's arguments."""

from pathlib import Path

SHELLS = ("bash", "zsh", "fish")


def completion(shell: str) -> str:
    """The script for one of the shells."""
    return Path(__file__).with_name(f"sccachedist.{shell}").read_text(encoding="utf-8")
