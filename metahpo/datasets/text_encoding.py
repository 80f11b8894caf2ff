"""Detection of the encoding of a text file: by its byte-order mark, else UTF-8, else Windows-1252."""

from __future__ import annotations

import codecs
from typing import IO

#: Byte-order marks, the longer ones first.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
#: Encoding of text that is no UTF-8: it agrees with latin-1 on letters.
FALLBACK = "cp1252"
#: Bytes that are decoded at a time.
CHUNK = 1 << 20


def text_encoding(raw: IO[bytes]) -> str:
    """Encoding of a file, which is read to its end unless it begins with a byte-order mark."""
    chunk = raw.read(CHUNK)
    for mark, name in _MARKS.items():
        if chunk.startswith(mark):
            return name
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk:
            decoder.decode(chunk)
            chunk = raw.read(CHUNK)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return FALLBACK
    return "utf-8"
