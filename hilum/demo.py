"""`hilum demo`: everything once. Reports → simulated films → training → scorecard → a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hilum import appraisal, atomic, training
from hilum.data import openi, phantomset
from hilum.errors import InputError
from hilum.recipes import RECIPES


def run_demo(out: Path, *, studies: int, seed: int) -> Path:
    """Makes ``out/reports``, ``out/data``, ``out/run`` and ``out/index.html``; returns the page.

    Goes on where an earlier call was interrupted. Raises what the steps raise, InputError where ``out`` holds
    something else.
    """
    made = {"reports", "data", "run", "index.html"}
    if out.exists() and (not out.is_dir() or {path.name for path in out.iterdir()} - made):
        raise InputError("it exists and is not a demo's folder", where=out, fix="choose another --out")
    reports = openi.get(out / "reports")
    dataset = phantomset.make(reports.studies, out / "data", studies=studies)
    config = replace(RECIPES["demo"](), seed=seed)
    training.train(config, dataset.root, out / "run", resume=True)
    found = appraisal.appraise(out / "run", dataset.root, "test")
    appraisal.keep(out / "run", found)
    notes = [
        "The films on this page are simulated: they are drawn from the codes that annotators gave to real "
        "reports. The numbers say how well the model reads these drawings, and nothing about patients.",
        "The floors never look at a film, but for two that copy the report of a training study: the nearest image, "
        "whose film looks most alike to an encoder that has seen photographs and no radiograph, and the nearest "
        "labels, whose findings are likeliest by the model’s own findings head. “Background” is the training report "
        "that the indication and the comparison alone, without a film, make most likely. Retrieval by the features "
        "that the model has learnt is no floor; it stands beside the model for comparison.",
    ]
    page = out / "index.html"
    atomic.write_text(page, appraisal.page(found, notes))
    return page
