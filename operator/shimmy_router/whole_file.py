"""Files that a reader finds whole, whenever it looks."""

from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replace the file at once."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
