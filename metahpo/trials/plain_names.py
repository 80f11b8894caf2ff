"""Plain names: names from files that are safe as names of files, because they cannot lead out of their folder."""

from __future__ import annotations

#: Longest plain name, in bytes: file systems take 255, and something may be put before or behind it.
MAX_BYTES = 200


def is_plain(name: object) -> bool:
    """Whether a name stays in its folder, and stays visible there, when it becomes the name of a file.

    It is a text of 1 to 200 bytes that can be written in UTF-8, without slashes, backslashes and control characters,
    and it does not begin with a dot.
    """
    if not isinstance(name, str) or not name or name.startswith("."):
        return False
    try:
        size = len(name.encode())
    except UnicodeEncodeError:  # half of a character
        return False
    return size <= MAX_BYTES and not any(c in "/\\" or ord(c) < 32 or ord(c) == 127 for c in name)
