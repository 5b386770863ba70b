"""The phantom: simulated frontal and lateral chest radiographs drawn from MeSH descriptors, with exact truth.

``render(study_id, descriptors)`` draws one study. What it is, and what it is not, stands in
``docs/phantom.md``: simulated pixels say nothing about patients.
"""

from hilum.imaging.phantom.drawing import EDITION, LARGEST, SMALLEST, PhantomStudy, render, trace
from hilum.imaging.phantom.plan import KINDS

__all__ = ["EDITION", "KINDS", "LARGEST", "SMALLEST", "PhantomStudy", "render", "trace"]
