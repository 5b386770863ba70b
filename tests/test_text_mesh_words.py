"""Descriptors to words and back, and the frequent diseases of the real collection."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.text import mesh, mesh_words
from tests import openi_real

CASES = (
    ("Calcified Granuloma/lung/upper lobe/right", "calcified_granuloma lung upper_lobe right"),
    ("Lung/hypoinflation/mild", "lung/hypoinflation mild"),
    ("Aorta, Thoracic/tortuous", "aorta,_thoracic/tortuous"),
    ("Fractures, Bone/ribs/left/multiple/healed", "fractures,_bone ribs left multiple healed"),
    ("Markings/lung/interstitial", "markings lung interstitial"),
    ("Technical Quality of Image Unsatisfactory", "technical_quality_of_image_unsatisfactory"),
    ("normal", "normal"),
)


@pytest.mark.parametrize(("descriptor", "words"), CASES)
def test_a_descriptor_as_words_and_back(descriptor: str, words: str) -> None:
    assert mesh_words.words(descriptor) == tuple(words.split())
    assert mesh_words.disease(descriptor) == words.split(maxsplit=1)[0]
    assert mesh_words.descriptor(words.split()) == descriptor


def test_what_is_wrong_with_an_organ_joins_its_name_wherever_it_stands() -> None:
    assert mesh_words.words("Diaphragm/right/elevated") == ("diaphragm/elevated", "right")
    assert mesh_words.words("Osteophyte/degenerative") == ("osteophyte", "degenerative")  # no organ
    assert mesh_words.words("Lung/chronic") == ("lung", "chronic")  # a time, not a disease
    assert mesh.disease(mesh.parse("Lung/hyperdistention")) == ("Lung", "hyperdistention")


def test_one_disease_alone() -> None:
    both = ["Calcified Granuloma/lung", "Calcified Granuloma/lung/right"]
    assert mesh_words.single_disease(both) == "calcified_granuloma"
    assert mesh_words.single_disease(["Opacity/lung", "Nodule/lung"]) is None
    assert mesh_words.single_disease(["No Indexing"]) is None
    assert mesh_words.single_disease([]) is None
    assert mesh_words.single_disease(["normal"]) == mesh_words.NORMAL


def test_nothing_written_is_no_descriptor() -> None:
    assert mesh_words.descriptor([]) == ""


@given(st.lists(st.text("aBc d,é", min_size=1).filter(str.strip), min_size=1, max_size=5))
def test_words_of_anything_survive_the_way_back(parts: list[str]) -> None:
    words = mesh_words.words("/".join(parts))
    assert words
    assert mesh_words.words(mesh_words.descriptor(words)) == words


def test_every_real_descriptor_survives_the_way_back(openi_archive: Path) -> None:
    found = {descriptor for study in openi_real.studies(openi_archive) for descriptor in study.mesh}
    assert len(found) > 1500
    respelt = set()
    for descriptor in found:
        words = mesh_words.words(descriptor)
        assert mesh_words.words(mesh_words.descriptor(words)) == words
        if sorted(mesh_words.descriptor(words).split("/")) != sorted(descriptor.split("/")):
            respelt.add(descriptor)
    assert len(respelt) <= 4  # small letters where the others have large ones, and a space too many
