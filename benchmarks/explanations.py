"""What the maps of one run or several are worth on simulated films: the table of docs/explanations.md, for any runs.

    python benchmarks/explanations.py --data DIR RUN… [--part validation] [--studies N] [--films N] [--json F]
                                      [--candidates] [--picture F.png]

Each run drafts the part of its own split; its maps are held against what was drawn, against where such findings
usually lie, and against chance (`hilum.explanations`). Runs whose decoders attend in different ways (soft, hard,
heads of a Transformer) stand side by side in the rows `sentence:…`. `--candidates` adds maps of findings that were
tried and are not used: gradient times input, and Grad-CAM, both at the memory. `--picture` draws the maps of the
first studies with a finding that is drawn and called: one row a finding, its films under what was drawn, and under
each kind of map. Choose on validation; name test to report.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from hilum import atomic, explanations
from hilum.data import manifest, splits
from hilum.data.batches import ordered_views
from hilum.data.manifest import Dataset
from hilum.explanations import FINDING, Explanation, Map, ReadAgain
from hilum.imaging.geometry import upsample
from hilum.metrics import faithfulness, grounding, intervals
from hilum.objectives import has_films, learnable_of
from hilum.reporter import Reporter
from hilum.study import Draft, Study

ROWS = 6
"""So many findings a picture shows."""
SIDE = 192


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--data", type=Path, required=True, help="a data set with simulated films")
    parser.add_argument("--part", default="validation", choices=["train", "validation", "test"])
    parser.add_argument(
        "--studies", type=int, help="the first so many with something drawn; all unless given"
    )
    parser.add_argument(
        "--films", type=int, default=explanations.FILM_STUDIES, help="studies whose films are blurred"
    )
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--candidates", action="store_true")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    dataset = manifest.read(options.data, need_images=True)
    if not dataset.info.simulated:
        parser.error("these films are not simulated: nobody knows where a finding lies in them")
    by_id, found, tables = dataset.by_id(), {}, []
    for run in options.runs:
        reporter = Reporter.load(run)
        split = splits.read(options.data, reporter.run.info.split)
        studies = [by_id[name] for name in split.part(options.part) if name in by_id]
        studies = [study for study in studies if study.truth and has_films(study)][: options.studies]
        training = learnable_of(by_id, split.train)
        drafts = reporter.report_all(dataset, studies)
        explained = explanations.measure(
            reporter, dataset, studies, drafts, training,
            film_studies=options.films, resamples=options.resamples,
        )  # fmt: skip
        found[str(run)] = explained.to_dict()
        tables.append(f"### {run.name}, {options.part}, {len(studies)} studies\n\n{table(explained)}")
        if options.candidates:
            tried = candidates(reporter, dataset, studies, drafts)
            found[str(run)]["candidates"] = tried
            tables.append("\n".join(f"{name}: {values}" for name, values in tried.items()))
        if options.picture is not None:
            atomic.write_bytes(options.picture, picture(reporter, dataset, studies, drafts, training))
    if options.json is not None:
        atomic.write_text(options.json, json.dumps(found, indent=1) + "\n")
    print("\n\n".join(tables))


def table(found: Explanation) -> str:
    """The two tables in Markdown: where maps lie, and whether they name what mattered."""
    lines = [
        "| map | maps | pointing game | within half a cell | IoU | inside | by chance |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, one in found.pointing.items():
        hit = one["pointing_game"]
        others = " | ".join(f"{one[name].value:.3f}" for name in grounding.NAMES[1:5])
        lines.append(
            f"| `{kind}` | {found.maps[kind]} | **{hit.value:.3f}** ({hit.low:.3f}–{hit.high:.3f}) | {others} |"
        )
    lines += [
        "",
        "| map / taken from | maps | " + " | ".join(faithfulness.AGAINST) + " |",
        "|---|---|---|---|---|---|",
    ]
    for kind, curves in found.curves.items():
        cells = []
        for name in faithfulness.AGAINST:
            area = curves.areas[name]
            cells.append(
                f"{area.value:+.3f} ({area.low:+.3f} to {area.high:+.3f}), p {curves.p_values[name]:.3f}"
            )
        lines.append(f"| `{kind}` | {curves.maps} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def candidates(
    reporter: Reporter, dataset: Dataset, studies: Sequence[Study], drafts: Sequence[Draft]
) -> dict[str, dict[str, Any]]:
    """The measures of maps of findings that are not used, on the same findings."""
    looks: dict[str, list[grounding.Look]] = {}
    owners: dict[str, list[str]] = {}
    for study, draft in zip(studies, drafts, strict=True):
        one = ReadAgain(reporter, dataset, study, draft)
        for scored in one.findings({}):
            maps = {name: scored.maps[name] for name in FINDING[:2]} | gradients(one, scored.name)
            for kind, map_N in maps.items():
                for drawn in scored.drawn:
                    for _, look in one.looks(map_N, drawn):
                        looks.setdefault(kind, []).append(look)
                        owners.setdefault(kind, []).append(study.id)
    values = {kind: intervals.intervals(grounding.grounding(looks[kind], owners[kind])) for kind in looks}
    return {
        kind: {name: round(measures[name].value, 3) for name in grounding.NAMES}
        for kind, measures in values.items()
    }


def gradients(one: ReadAgain, name: str) -> dict[str, Map]:
    """Gradient times input (Shrikumar et al., arXiv 1605.01713) and Grad-CAM (Selvaraju et al., arXiv 1610.02391) of
    the logit of ``name`` at the placed features, what is below 0 left out."""
    model = one.reporter.run.model
    placed_BND = model.place(one.seen.features_BIGD, one.seen.projection_BI).detach().requires_grad_(True)
    present_BN = one.seen.cells_BIG.flatten(1)
    logits_BF, _ = model.read(placed_BND, one.seen.cells_BIG, one.seen.projection_BI)
    (slope_BND,) = torch.autograd.grad(logits_BF[0, model.config.findings.index(name)], placed_BND)
    channel_BD = (slope_BND * present_BN.unsqueeze(-1)).sum(1) / present_BN.sum(1, keepdim=True)
    with torch.no_grad():
        return {
            "gradient times input": (slope_BND * placed_BND).sum(-1).clamp_min(0)[0].numpy(),
            "Grad-CAM": (channel_BD.unsqueeze(1) * placed_BND).sum(-1).clamp_min(0)[0].numpy(),
        }


def picture(
    reporter: Reporter, dataset: Dataset, studies: Sequence[Study], drafts: Sequence[Draft],
    training: Sequence[Study],
) -> bytes:  # fmt: skip
    """A PNG: of the first finding of each kind drawn and called, its films with what was drawn and each map."""
    rows: dict[str, np.ndarray] = {}
    columns = ("drawn", *FINDING)
    usual = explanations.usual_places(reporter, dataset, training)
    for study, draft in zip(studies, drafts, strict=True):
        one = ReadAgain(reporter, dataset, study, draft)
        for scored in one.findings(usual):
            if len(rows) < ROWS and scored.name not in rows:
                shown = [drawn_on(one, dataset, scored, scored.maps.get(column)) for column in columns]
                rows[scored.name] = titled(np.hstack(shown), f"{scored.name}, study {study.id}")
        if len(rows) == ROWS:
            break
    if not rows:
        raise SystemExit("no finding is drawn and called: nothing to draw")
    width = next(iter(rows.values())).shape[1]
    head = np.full((26, width, 3), 255, np.uint8)
    for index, column in enumerate(columns):
        at = (index * width // len(columns) + 6, 18)
        cv2.putText(head, column, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, cv2.LINE_AA)
    done, png = cv2.imencode(".png", np.vstack([head, *rows.values()]))
    assert done
    return png.tobytes()


def drawn_on(one: ReadAgain, dataset: Dataset, scored: explanations.Scored, map_N: Map | None) -> np.ndarray:
    """The films of a study side by side, with a map over them and the boxes of what was drawn."""
    grid, shown = one.reporter.run.model.grid, []
    for index, (view, placement) in enumerate(zip(ordered_views(one.study), one.placements, strict=True)):
        read = cv2.imread(str(dataset.path(view)), cv2.IMREAD_GRAYSCALE)
        assert read is not None  # the run has read it
        film = cv2.resize(read, (SIDE, SIDE))
        pixels = cv2.cvtColor(film, cv2.COLOR_GRAY2BGR).astype(np.float32)
        if map_N is not None:
            heat = upsample(map_N.reshape(-1, grid, grid)[index], placement, (SIDE, SIDE)) / max(
                map_N.max(), 1e-9
            )
            pixels += (0.65 * heat)[..., None] * (np.array([20.0, 130.0, 255.0]) - pixels)
        for region in (
            region for drawn in scored.drawn for region in drawn.regions if region.view == view.id
        ):
            x0, y0, x1, y1 = region.box
            across, down = SIDE / placement.file_width, SIDE / placement.file_height
            corners = (int(x0 * across), int(y0 * down)), (int(x1 * across), int(y1 * down))
            cv2.rectangle(pixels, *corners, (120, 255, 160), 1)
        shown.append(cv2.copyMakeBorder(pixels, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255)))
    return np.clip(np.hstack(shown), 0, 255).astype(np.uint8)


def titled(row: np.ndarray, text: str) -> np.ndarray:
    """The row under a line of text."""
    line = np.full((22, row.shape[1], 3), 255, np.uint8)
    cv2.putText(line, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (30, 30, 30), 1, cv2.LINE_AA)
    return np.vstack([line, row])


if __name__ == "__main__":
    main()
