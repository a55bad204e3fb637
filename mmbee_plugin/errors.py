"""The one exception that stands for bad input, and what other errors say in one line."""


class InputError(ValueError):
    """Bad input from outside: a file, an option, a name.

    The message is one line which names the file, the row, the column or the option, the value found, and what
    would be right. Command lines print it without a traceback and end with exit status 2.
    """


def one_line(error: BaseException) -> str:
    """What an error says, in one line of at most 200 characters: the system's reason, else its text, else its kind."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split())[:200] or type(error).__name__
