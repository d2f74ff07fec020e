"""What the library says, in the command's words: options instead of arguments. Pure."""

from __future__ import annotations

from ..errors import S3StreamError


def in_our_words(problem: BaseException | str) -> str:
    """An error, or a text of the library, as who types commands can use it."""
    if isinstance(problem, str):
        text = problem
    elif isinstance(problem, OSError) and not isinstance(problem, S3StreamError):
        text = problem.strerror or str(problem)
        if problem.filename is not None:
            text = f"{problem.filename}: {text}"
    else:
        text = str(problem)
    notes = [] if isinstance(problem, str) else getattr(problem, "__notes__", [])
    return "; ".join([text, *notes])


def sentence(text: str) -> str:
    """One line, whatever a store has put into its message."""
    return " ".join(text.split())
