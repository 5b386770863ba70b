"""The table of transfer syntaxes: whole, and true."""

from __future__ import annotations

import pytest
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, AllTransferSyntaxes

from hilum.imaging.syntaxes import SYNTAXES, Syntax, known_syntax

REFUSED = (
    "MPEG",
    "HEVC",
    "JPIP",
    "Extensible",
    "SMPTE",
    "(Retired)",
    "JPEG XL",
    "Encapsulated Uncompressed",
    "Papyrus",
    "Part 2",
)
"""Video, streams over a network, and what nobody writes."""


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda one: one.name)
def test_names_and_kinds_are_those_of_the_standard(syntax: Syntax) -> None:
    uid = UID(syntax.uid)
    assert uid.is_transfer_syntax and uid.is_encapsulated == bool(syntax.family)
    assert syntax.name.split(" (")[0].split()[0] in uid.name
    assert known_syntax(syntax.uid) is syntax
    if syntax.family:
        known = get_decoder(uid)
        assert syntax.decoder in {
            *known.available_plugins,
            *(line.split()[0] for line in known.missing_dependencies),
        }


def test_what_is_left_out_is_left_out_on_purpose() -> None:
    known = {one.uid for one in SYNTAXES}
    for uid in AllTransferSyntaxes:
        if uid not in known:
            assert any(word in uid.name for word in REFUSED), uid.name
    assert known_syntax("1.2.3") is None
