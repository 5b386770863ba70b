"""What is to be summarised, out of lines of text: a report a line, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from hilum.errors import TextError
from hilum.text import sections

_FIX = 'give {"id": …, "findings": …, "indication": …} or {"id": …, "text": …} a line'


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be summarised: texts as they stand."""

    id: str
    findings: str
    indication: str = ""


def of_text(id: str, text: str) -> Request:
    """Of a whole report: its sections are looked for; what has none is findings. The history joins the indication,
    and an impression that is there already is not read."""
    found = sections.split(text)
    return Request(id, found.findings, " ".join(part for part in (found.indication, found.history) if part))


def of_lines(lines: Iterable[bytes], where: str) -> list[Request]:
    """A request a line: JSON where it begins with a brace, else a whole report; blank lines are left out.

    The id is the line's number where none is given. Bytes that are no UTF-8 are read as replacement characters.
    Raises TextError naming the line that begins like JSON and is none, or has no text.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.decode(errors="replace").strip("\ufeff \t\r\n")
        if text.startswith("{"):
            found.append(_of_json(text, number, where))
        elif text:
            found.append(of_text(str(number), text))
    return found


def _of_json(text: str, number: int, where: str) -> Request:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TextError(
            f"line {number} begins like JSON and is not ({error})", where=where, fix=_FIX
        ) from None
    id = str(value.get("id", number))
    if isinstance(value.get("findings"), str):
        indication = value.get("indication") or ""
        if not isinstance(indication, str):
            raise TextError(f'line {number}: "indication" is no text', where=where, fix=_FIX)
        return Request(id, value["findings"], indication)
    if isinstance(value.get("text"), str):
        return of_text(id, value["text"])
    raise TextError(f'line {number} has neither "findings" nor "text"', where=where, fix=_FIX)
