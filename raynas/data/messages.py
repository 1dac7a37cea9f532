"""Wording shared by the errors about a user's files."""


def one_line(error: BaseException) -> str:
    """Returns the message of an error with its line breaks folded, to be quoted within a sentence."""
    return " ".join(str(error).split())
