"""Who runs a command: what the journal records as `by` unless told otherwise."""

import getpass
import os


def user_name() -> str:
    """Return the login name, or the numeric id where there is none, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
