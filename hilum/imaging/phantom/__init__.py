"""The phantom: simulated frontal and lateral chest radiographs drawn from MeSH descriptors, with exact truth.

``render(study_id, descriptors)`` draws one study. What it is, and what it is not, stands in
``docs/phantom.md``: simulated pixels say nothing about patients.
"""

from hilum.imaging.phantom.drawing import (
    EDITION,
    LARGEST,
    SMALLEST,
    USUAL,
    Conditions,
    PhantomStudy,
    film_of,
    render,
    set_up,
    trace,
)
from hilum.imaging.phantom.masks import Masks, masks
from hilum.imaging.phantom.plan import KINDS, OWN_KINDS

__all__ = [
    "EDITION",
    "KINDS",
    "LARGEST",
    "OWN_KINDS",
    "SMALLEST",
    "USUAL",
    "Conditions",
    "Masks",
    "PhantomStudy",
    "film_of",
    "masks",
    "render",
    "set_up",
    "trace",
]
