"""The exception for bad input, and one-line texts of other exceptions."""


class InputError(ValueError):
    """Bad input from the user: a file, an option, a name.

    The message is one line with the file and row, column or option, the value found, and what would be right. Command
    lines print it without a traceback and exit with status 2.
    """


def one_line(error: BaseException, limit: int = 200) -> str:
    """Text of an exception in a line, cut to `limit` characters: the system's reason, else its text, else its kind."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split())[:limit] or type(error).__name__
