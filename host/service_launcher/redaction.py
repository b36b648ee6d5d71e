"""Takes secrets and control characters out of text before anybody sees it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "••••••"

#: C0 without tab and newline, DEL, C1, and the controls that turn the direction of text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_URL_SAFE = str.maketrans("+/", "-_")
_ANSI = re.compile("\x1b\\[[0-9;?]*[ -/]*[@-~]")


class Redactor:
    """Masks the given secrets in every form in which they are likely to be printed."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms: set[str] = set()
        for secret in secrets:
            # Shorter ones would blot out ordinary words, and are refused as passwords anyway.
            if len(secret) >= 6:
                forms |= _forms(secret)
        #: Bytes of the longest form: text that is cut may end with so much of a secret unmasked.
        self.longest = max((len(form.encode("utf-8", "surrogateescape")) for form in forms), default=0)
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """The text with secrets masked and control characters shown as escapes."""
        # Twice: a secret may hold what looks like a colour code, and a colour code may stand in a secret.
        return printable(self._masked(_ANSI.sub("", self._masked(text))))

    def _masked(self, text: str) -> str:
        return self._pattern.sub(MASK, text) if self._pattern is not None else text


def printable(text: str) -> str:
    """Text that cannot steer a terminal: colour codes dropped, other control characters shown as escapes."""
    return _CONTROLS.sub(lambda m: f"\\x{ord(m[0]):02x}", _ANSI.sub("", text.replace("\r\n", "\n")))


def _forms(secret: str) -> set[str]:
    encoded = secret.encode("utf-8", "surrogateescape")  # a variable of the process may hold any bytes
    as_json, with_letters = (json.dumps(secret, ensure_ascii=ascii)[1:-1] for ascii in (True, False))
    forms = {
        secret,
        secret.replace("$", "$$"),
        as_json,
        with_letters,
        json.dumps(as_json)[1:-1],
        with_letters.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),  # as docker writes it
        encoded.decode("utf-8", "replace"),
    }
    for in_url in (quote(encoded, safe=""), quote(encoded), quote_plus(encoded)):
        forms |= {in_url, re.sub("%..", lambda escape: escape[0].lower(), in_url)}
    # Base64 of a longer text holds the secret at one of three offsets; the characters that depend on
    # its neighbours are cut off.
    for offset in range(3):
        code = base64.b64encode(b"\0" * offset + encoded).decode().rstrip("=")
        code = code[(0, 2, 3)[offset] : -1 if (len(encoded) + offset) % 3 else None]
        forms |= {code, code.translate(_URL_SAFE)}
    return {form for form in forms if len(form) >= 6}
