"""Recipes: each under its name, and a variant changes what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hilum.recipes import RECIPES, VARIANTS


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_is_found_under_its_name(name: str) -> None:
    assert RECIPES[name]().name == name


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_run_has_something_to_draft_from(name: str) -> None:
    """Evidence, and no beams then; or else the decoder's own drafts."""
    recipe = RECIPES[name]()
    assert (recipe.search.beams == 0) == (recipe.retrieval is not None)


@pytest.mark.parametrize("base", ["openi", "phantom", "demo"])
@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_a_variant_looks_as_its_base_does(base: str, name: str) -> None:
    """Nothing about the encoder's stage differs: ``hilum train --encoder`` can take it from any of them."""
    whole, changed = RECIPES[base](), RECIPES[f"{base}-{name}"]()
    assert whole.retrieval is not None and (changed.retrieval is None) == (name != "films")
    looks = replace(
        changed.model, decoder=whole.model.decoder, hidden=whole.model.hidden, background=(), retrieved=None,
        conditioned=True,
    )  # fmt: skip
    assert looks == whole.model
    alike = ("encoder", "split", "see_outside", "seed", "pretrained", "drawn_places", "augment", "codes")
    assert {one: getattr(changed, one) for one in alike} == {one: getattr(whole, one) for one in alike}
    others = [RECIPES[f"{base}-{other}"]() for other in VARIANTS if other != name]
    assert changed not in [replace(other, name=changed.name) for other in others]


def test_the_large_phantom_differs_in_how_it_sees_alone() -> None:
    whole, larger = RECIPES["phantom"](), RECIPES["phantom-large"]()
    assert (larger.model.encoder, larger.model.image_size) == ("efficientnet-lite2", 224)
    alike = replace(
        whole, name=larger.name, model=larger.model, encoder=larger.encoder, decoder=larger.decoder
    )
    assert alike == larger
