"""The one exception that stands for bad input."""


class InputError(ValueError):
    """Bad input from outside: a file, an option, a name.

    The message is one line which names the file, the row, the column or the option, the value found, and what
    would be right. Command lines print it without a traceback and end with exit status 2.
    """
