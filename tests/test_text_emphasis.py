"""Words of sentences that state a finding."""

from __future__ import annotations

import pytest

from hilum.text.emphasis import stating


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("the heart is normal . small left pleural effusion .", "small left pleural effusion ."),
        ("no pleural effusion . the lungs are clear .", ""),
        ("possible atelectasis", "possible atelectasis"),
        ("", ""),
    ],
)
def test_the_whole_sentence_counts(text: str, marked: str) -> None:
    flags = stating(text)
    assert len(flags) == len(text.split())
    assert " ".join(word for word, flag in zip(text.split(), flags, strict=True) if flag) == marked
