"""The scorecard's page: every number of the card, the floors beside it, and texts that differ coloured."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.evaluation import score
from hilum.metrics import probabilities
from hilum.metrics.intervals import Interval
from hilum.metrics.scorecard import HEADLINE, Scorecard
from hilum.page import score_page
from hilum.page.confusion import confusion
from hilum.page.scorecard import named
from hilum.study import Finding, State
from tests.browser import Page, after, assert_self_contained, needs_chromium, skeleton
from tests.drafted import DRAFT, FILMS, NASTY, STUDY, dressed, grid_at

REFERENCES = {
    "case-1": "The heart is enlarged. There is a small left pleural effusion.",
    "case-2": "The lungs are clear. No pneumothorax.",
    "case-3": "Possible right basilar pneumonia, seen in two (2) views.",
    "case-4": "No acute disease.",
}
DRAFTS = {
    "case-1": "The heart is normal in size. There is a small right pleural effusion.",
    "case-2": "The lungs are clear. No pneumothorax.",
    "case-3": "There is a rib fracture.",
    "case-4": "No acute disease.",
}
TRAIN = {f"t{k}": text for k, text in enumerate([*REFERENCES.values()][:2] * 4 + ["No acute disease."])}
"""Words of the last ones are rare: R2Gen's form replaces them."""


@pytest.fixture(scope="module")
def cards() -> dict[str, Scorecard]:
    return {
        form: score(
            REFERENCES, {"ours": DRAFTS}, train=TRAIN, text_form=form, with_meteor=False, resamples=50
        )
        for form in ("honest", "r2gen")
    }


@pytest.fixture(scope="module")
def html(cards: dict[str, Scorecard]) -> str:
    return score_page(
        cards["honest"], REFERENCES, {"ours": DRAFTS}, beside=cards["r2gen"], notes=["A <small> note."]
    )


def test_the_page_needs_no_network_and_admits_its_own_script_alone(html: str) -> None:
    assert_self_contained(html)
    assert "A <small> note." in Page(html).text


def test_the_headline_is_the_lift_over_the_best_floor(html: str, cards: dict[str, Scorecard]) -> None:
    card, page = cards["honest"], Page(html)
    first = next(name for name in HEADLINE if name in card.lift["ours"])
    lift = card.lift["ours"][first]
    assert f"ours {lift.value:+.3f} ({lift.low:+.3f} to {lift.high:+.3f}; p " in page.text
    assert f"over {named(lift.over)}" in page.text
    for metric in (name for name in HEADLINE if name in card.lift["ours"]):
        value = card.lift["ours"][metric].value
        assert any(f"{value:+.3f}" in row[1] for row in page.rows if len(row) == 6), metric


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "said"),
    [
        (0.1, 0.3, 0.018, "above every floor"),
        (0.1, 0.3, None, "above every floor"),
        (0.1, 0.3, 0.08, "above its best floor, but not shown once p is adjusted for all floors"),
        (-0.1, 0.3, 0.02, "not shown to be above its best floor"),
        (-0.3, -0.1, 0.018, "below its best floor"),
    ],
)
def test_the_headline_claims_what_interval_and_adjusted_p_bear(
    cards: dict[str, Scorecard], low: float, high: float, p_holm: float | None, said: str
) -> None:
    card = cards["honest"]
    first = next(name for name in HEADLINE if name in card.lift["ours"])
    lift = replace(card.lift["ours"][first], low=low, high=high, p_holm=p_holm)
    told = replace(card, lift={"ours": card.lift["ours"] | {first: lift}})
    text = Page(score_page(told, REFERENCES, {"ours": DRAFTS})).text
    assert f"over {named(lift.over)}: {said} " in text


def test_every_system_and_every_metric_stands_in_a_table(html: str, cards: dict[str, Scorecard]) -> None:
    card, page = cards["honest"], Page(html)
    for system, found in card.systems.items():
        name = named(system)
        rows = [row for row in page.rows if row and " ".join(row[0].split()).startswith(name)]
        for metric in ("bleu_4", "rouge_l", "cider", "findings_f1_macro_14"):
            assert any(f"{found[metric].value:.3f}" in cell for row in rows for cell in row), (system, metric)
    metrics = {metric for found in card.systems.values() for metric in found}
    width = 1 + len(card.systems)
    start = next(k for k, row in enumerate(page.rows) if row[0] == "Metric" and len(row) == width)
    every = page.rows[start + 1 : start + 1 + len(metrics)]
    assert all(len(row) == width for row in every) and len({row[0] for row in every}) == len(metrics)


def test_a_plot_for_every_headline_metric_holds_every_floor(html: str, cards: dict[str, Scorecard]) -> None:
    card = cards["honest"]
    plots = re.findall(r'<svg class="plot".*?</svg>', html, re.S)
    shown = [name for name in HEADLINE if name in card.systems["ours"]]
    assert len(plots) == len(shown)
    for plot, metric in zip(plots, shown, strict=True):
        assert plot.count("<circle") == sum(metric in found for found in card.systems.values())
        assert plot.count('class="floor-line"') == 1
        assert plot.count('class="interval"') == plot.count("<circle")


def test_two_text_forms_stand_side_by_side_where_they_differ(html: str, cards: dict[str, Scorecard]) -> None:
    page = Page(html)
    honest, other = (cards[form].systems["ours"]["cider"].value for form in ("honest", "r2gen"))
    assert f"{honest:.3f}" != f"{other:.3f}"
    row = next(row for row in page.rows if row[0] == "ours" and f"{other:.3f}" in " ".join(row))
    at = next(k for k, cell in enumerate(row) if cell.startswith(f"{other:.3f}"))
    assert row[at - 1].startswith(f"{honest:.3f}")
    same = Page(score_page(cards["honest"], REFERENCES, {"ours": DRAFTS}, beside=cards["honest"]))
    assert "No number differs." in same.text


def test_what_differs_is_coloured_in_both_texts(html: str) -> None:
    page = Page(html)
    assert page.marked("other-side") == ["other side: Pleural Effusion"] * 2
    assert "missed: Cardiomegaly" in page.marked("missed")
    assert any("Pneumonia" in title for title in page.marked("missed"))
    assert any("Fracture" in title for title in page.marked("invented"))
    assert "only those that differ (2)" in page.text
    assert [a["class"] for t, a in page.tags if t == "article"] == [
        "pair differing", "pair", "pair differing", "pair",
    ]  # fmt: skip


def test_absences_are_named(html: str) -> None:
    assert "METEOR : not asked for" in Page(html).text


def test_confusion_counts_four_values_by_four() -> None:
    told = {
        "a": {"Edema": State.PRESENT},
        "b": {"Edema": State.UNCERTAIN},
        "c": {"Edema": State.ABSENT},
        "d": {},
    }

    def read(text: str) -> dict[str, Finding]:
        return {name: Finding(name, state) for name, state in told[text].items()}

    pairs = ["ab", "aa", "ba", "cd", "dd", "dc", "da", "ad"]
    references = {str(k): pair[0] for k, pair in enumerate(pairs)}
    found = confusion(references, {str(k): pair[1] for k, pair in enumerate(pairs)}, read)
    assert [one.name for one in found] == ["Edema"]
    assert found[0].counts == ((1, 1, 0, 1), (1, 0, 0, 0), (0, 0, 0, 1), (1, 0, 1, 1))


def test_confusion_sums_to_the_reports_and_shows_on_the_page(html: str) -> None:
    found = {one.name: one.counts for one in confusion(REFERENCES, DRAFTS)}
    assert all(sum(map(sum, counts)) == len(REFERENCES) for counts in found.values())
    assert found["Cardiomegaly"][0][2] == 1, "present in the reference, ruled out in the draft"
    assert found["Pneumonia"][1][3] == 1, "uncertain in the reference, not mentioned in the draft"
    assert html.count('<table class="confusion">') == len(found)


def test_only_so_many_reports_are_shown_and_that_is_said(cards: dict[str, Scorecard]) -> None:
    page = Page(score_page(cards["honest"], REFERENCES, {"ours": DRAFTS}, shown=2))
    assert "the first 2 of 4, none is chosen" in page.text
    assert len([1 for tag, _ in page.tags if tag == "article"]) == 2


def test_several_systems_each_have_their_headline_and_their_confusion() -> None:
    systems = {"ours": DRAFTS, "theirs": REFERENCES}
    card = score(REFERENCES, systems, train=TRAIN, with_meteor=False, resamples=20)
    html = score_page(card, REFERENCES, systems)
    assert html.count('class="headline"') == 2
    assert Page(html).text.count("Confusion of findings") == 2


def test_without_floors_the_page_says_that_numbers_say_little() -> None:
    card = score(REFERENCES, {"ours": DRAFTS}, with_meteor=False, resamples=20)
    page = Page(score_page(card, REFERENCES, {"ours": DRAFTS}))
    assert "ours : no floor was scored beside it" in page.text
    assert 'class="floor-line"' not in "".join(page.words)


def test_texts_that_do_not_belong_to_the_card_are_refused(cards: dict[str, Scorecard]) -> None:
    with pytest.raises(ValueError, match="theirs is not in the scorecard"):
        score_page(cards["honest"], REFERENCES, {"theirs": DRAFTS})
    with pytest.raises(ValueError, match="case-9"):
        score_page(cards["honest"], REFERENCES | {"case-9": "x"}, {"ours": DRAFTS})


@settings(deadline=None, max_examples=30)
@given(st.text(min_size=1, max_size=40), st.text(max_size=80), st.text(max_size=80))
def test_the_page_is_whole_whatever_ids_and_texts_hold(id: str, reference: str, draft: str) -> None:
    card = Scorecard(1, "as-is", {"<b>&": {"bleu_4": Interval(0.5, 0.4, 0.6)}})
    page = Page(score_page(card, {id: reference}, {"<b>&": {id: draft}}, title=id))
    assert "<b>&" in page.text


def test_paired_differences_stand_with_their_p_values(html: str, cards: dict[str, Scorecard]) -> None:
    card, page = cards["honest"], Page(html)
    start = next(k for k, row in enumerate(page.rows) if row[0] == "ours minus …")
    rows = page.rows[start + 1 : start + 1 + len(card.tests["ours"])]
    for (other, found), row in zip(card.tests["ours"].items(), rows, strict=True):
        assert row[0].startswith(named(other))
        for metric, cell in zip(
            [name for name in HEADLINE if name in card.lift["ours"]], row[1:], strict=True
        ):
            test = found[metric]
            p = "p < .001" if test.p_holm < 0.001 else f"p = {test.p_holm:.3f}".replace("= 0.", "= .")
            assert cell.split() == f"{test.value:+.3f} {test.low:+.3f} to {test.high:+.3f} {p}".split()
    leads = next(k for k, row in enumerate(page.rows) if row[0] == "Metric" and len(row) == 6)
    assert page.rows[leads][2].split() == ["p", "Holm"]


@pytest.fixture(scope="module")
def head() -> probabilities.Probabilities:
    rng = np.random.default_rng(3)
    given_SF = rng.random((90, 4))
    wanted_SF = (rng.random((90, 4)) < given_SF).astype(float)
    wanted_SF[5:, 1] = 0
    wanted_SF[:4, 1] = 1
    wanted_SF[:, 3] = 0
    names = ("Edema", "Fracture", "Nodule <i>", "Pneumonia")
    return probabilities.score(names, wanted_SF, given_SF, {"Edema": (0.2, 0.6)}, resamples=50)


@pytest.fixture(scope="module")
def whole(cards: dict[str, Scorecard], head: probabilities.Probabilities) -> str:
    """The page of a run: with calibration, region maps held against the truth, and studies with their films."""
    card = replace(cards["honest"], grounding={"pointing_game": Interval(0.5, 0.25, 0.75)}, calibration=head)
    first = replace(STUDY, id="case-1"), replace(DRAFT, study="case-1"), FILMS
    return score_page(
        card, REFERENCES, {"ours": DRAFTS}, truth="Held against what was drawn.",
        pictured=[first], chosen="the first of the split", shown=2,
    )  # fmt: skip


def test_a_run_s_page_is_whole_and_needs_no_network(whole: str) -> None:
    assert_self_contained(whole)
    page = Page(whole)
    contents = [a["href"] for a in page.all("a")]
    for section in (
        "lift",
        "tables",
        "grounding",
        "calibration",
        "confusion-1",
        "studies",
        "reports",
        "protocol",
    ):
        assert f"#h-{section}" in contents
    assert "Peak of the map inside the drawn box" in page.text and "0.500 0.250–0.750" in page.text


def test_calibration_says_n_positives_and_greys_what_is_few(
    whole: str, head: probabilities.Probabilities
) -> None:
    page = Page(whole)
    assert "Held against what was drawn." in page.text
    rows = {row[0].split(" few")[0].strip(): row for row in page.rows if len(row) == 11}
    for name, one in head.findings.items():
        assert rows[name][1:3] == [str(one.n), str(one.positives)]
        assert rows[name][3].startswith(f"{one.measures['roc_auc'].value:.3f}")
        assert f"{one.positives} of {one.n} positive" in page.text
    assert rows["All pooled"][1] == str(head.pooled.n if head.pooled else None)
    assert rows["Edema"][7] == "0.600" and rows["Fracture"][7] == "–"
    assert [a["class"] for a in page.all("tr", "few")] == ["few"]
    assert [a["class"].split() for a in page.all("figure", "few")] == [["curves", "few"]]
    assert "Not scored, with fewer than three positives or negatives: Pneumonia (0 of 90)." in page.text
    assert len(page.all("svg", "diagram")) == 3 * (1 + len(head.findings))
    assert len(page.all("g", "present")) == len(page.all("g", "absent")) == 2, (
        "one finding, ROC and precision"
    )


def test_a_head_without_a_scored_finding_says_so(cards: dict[str, Scorecard]) -> None:
    none = probabilities.score(("Edema",), np.zeros((4, 1)), np.full((4, 1), 0.5), {}, resamples=10)
    card = replace(cards["honest"], calibration=none)
    page = Page(score_page(card, REFERENCES, {"ours": DRAFTS}))
    assert "No finding has enough positives and negatives" in page.text


def test_films_are_shown_of_some_and_what_is_left_out_is_said(whole: str) -> None:
    page = Page(whole)
    assert "1 study with films the first of the split" in page.text
    assert [a["aria-label"] for a in page.all("svg") if " film " in a.get("aria-label", "")] == [
        "frontal film pa-1", "lateral film lat-2",
    ]  # fmt: skip
    assert "the first 2 others, without films" in page.text
    assert "Films are on this page for 1 of 4 studies; those of the other 3 are left out" in page.text
    assert "The texts of 1 further reports are left out too" in page.text
    shown = re.findall(r'<article class="pair[^>]*>\s*<h3>(.*?)</h3>', whole)
    assert shown == ["case-2", "case-3"]


@pytest.mark.parametrize("word", NASTY)
def test_texts_from_outside_cannot_become_markup(word: str) -> None:
    pixels = (np.zeros((9, 9), np.uint8),) * 2

    def page(text: str) -> str:
        card = Scorecard(2, "as-is", {text: {text: Interval(0.5, 0.4, 0.6)}}, absent={f"floor:{text}": text})
        said = f"{text}. No acute disease."  # of which the same findings are read, whatever stands before it
        texts = {text: said, "other": said}
        return score_page(
            card, texts, {text: texts}, pictured=[(*dressed(text), pixels)], chosen=text, truth=text,
            title=text, notes=[text],
        )  # fmt: skip

    assert skeleton(page(word)) == skeleton(page("plain"))


def test_twelve_studies_and_many_texts_stay_small(cards: dict[str, Scorecard]) -> None:
    noise = [np.random.default_rng(n).integers(0, 256, (512, 512), np.uint8) for n in range(2)]
    regions = tuple(replace(r, grid=grid_at(2, 3, r.weight, 14)) for r in DRAFT.sentences[0].regions)
    draft = replace(DRAFT, sentences=(replace(DRAFT.sentences[0], regions=regions),) * 10)
    references = {f"n{k}": REFERENCES["case-1"] * 4 for k in range(600)}
    card = replace(cards["honest"], n=600)
    items = [(replace(STUDY, id=f"n{k}"), draft, noise) for k in range(12)]
    html = score_page(card, references, {"ours": references}, pictured=items)
    assert len(html.encode()) < 8_000_000


@needs_chromium
def test_a_click_sorts_and_a_second_one_turns_round(html: str, tmp_path: Path) -> None:
    steps = """
    const section = document.getElementById("h-tables").parentElement;
    const table = [...section.querySelectorAll("table.sortable")].find((t) => t.tBodies[0].rows.length > 8);
    const values = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[4].dataset.v));
    const falling = (v) => v.every((x, k) => k === 0 || v[k - 1] >= x);
    const head = table.tHead.rows[0].cells[4], button = head.querySelector("button");
    const seen = [falling(values())];
    button.click(); seen.push(falling(values()), head.getAttribute("aria-sort"));
    button.click(); seen.push(falling(values().reverse()), head.getAttribute("aria-sort"));
    document.title = "steps " + seen.join(" ");
    """
    assert after(tmp_path, html, steps) == "steps false true descending true ascending"
