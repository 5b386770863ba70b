"""The pages: whole, self-contained, true to the draft's numbers, and safe whatever the texts hold."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hilum.page import draft_page, films
from hilum.page.compare import Comparison, Kind, compare, runs
from hilum.study import (
    DISCLAIMER,
    DrawnFinding,
    DrawnRegion,
    Finding,
    MapKind,
    Report,
    Side,
    State,
)
from tests.browser import Page, after, assert_self_contained, chromium, needs_chromium, skeleton
from tests.drafted import DRAFT, FILMS, FRONTAL, LATERAL, NASTY, STUDY, dressed, grid_at


@pytest.fixture(scope="module")
def one() -> str:
    return draft_page(STUDY, DRAFT, FILMS)


def test_a_page_needs_no_network_and_its_references_hold(one: str) -> None:
    assert_self_contained(one)
    assert Page(one).all("image")


def test_it_can_be_read_without_seeing(one: str) -> None:
    page = Page(one)
    html = next(a for t, a in page.tags if t == "html")
    assert html["lang"] == "en"
    for svg in page.all("svg"):
        assert svg.get("aria-label") or svg.get("aria-hidden") == "true"
    radios = [a for a in page.all("input") if a["type"] == "radio"]
    assert len(radios) == len(DRAFT.sentences) + 1
    assert len({a["name"] for a in radios}) == 1
    assert [a for a in radios if "checked" in a] == radios[:1]
    assert page.all("div", "draft")[0]["role"] == "radiogroup"
    assert {"frontal: 75\u202f% of the attention", "lateral: 25\u202f% of the attention"} <= {
        a.get("aria-label", "") for a in page.all("svg")
    }


def test_every_word_is_there(one: str) -> None:
    words = Page(one).text
    for text in (
        DISCLAIMER, "Cough for two weeks.", "This film is unusually dark.", "small-reader", "0123456789ab",
        "a made-up set", "The heart", "acute rib fracture", "75 %", "0.87", "present", "undecided", "Edema",
        "small right pleural effusion", "Draft impression", "Reference findings",
    ):  # fmt: skip
        assert text in words, text
    assert "simulated" not in words
    assert words.index("Cardiomegaly 0.87") < words.index("Lung Opacity 0.50") < words.index("Edema 0.03")


def test_the_coded_diagnoses_say_where_they_come_from(one: str) -> None:
    text = Page(one).text
    assert "Cardiomegaly/mild films and text, 0.87" in " ".join(text.split())
    assert "Fractures, Bone/ribs text" in " ".join(text.split())


def test_frontal_first_whatever_the_order_of_the_files(one: str) -> None:
    labels = [a["aria-label"] for a in Page(one).all("svg") if " film " in a.get("aria-label", "")]
    assert labels == ["frontal film pa-1", "lateral film lat-2"]


def test_films_shrink_and_boxes_stay_in_file_pixels(one: str) -> None:
    page = Page(one)
    stored = [a for a in page.all("image") if a["href"].startswith("data:image/jpeg")]
    assert [(a["width"], a["height"]) for a in stored] == [("800", "1000"), ("300", "400")]
    sizes = [Image.open(io.BytesIO(base64.b64decode(a["href"].split(",")[1]))).size for a in stored]
    assert sizes == [(512, 640), (300, 400)]
    views = [a["viewbox"] for a in page.all("svg") if " film " in a.get("aria-label", "")]
    assert views == ["0 0 800 1000", "0 0 300 400"]
    boxes = {(a["x"], a["y"], a["width"], a["height"]) for a in page.all("rect", "box")}
    assert {("100", "200", "200.5", "200"), ("10", "20", "20", "20")} <= boxes


def test_the_extent_places_the_map() -> None:
    letterboxed = replace(DRAFT.sentences[0].regions[0], extent=(-100.0, 0.0, 900.0, 1000.0))
    draft = replace(DRAFT, sentences=(replace(DRAFT.sentences[0], regions=(letterboxed,)),))
    heat = next(
        a
        for a in Page(draft_page(STUDY, draft, FILMS)).all("image")
        if a["href"].startswith("data:image/png")
    )
    assert (heat["x"], heat["y"], heat["width"], heat["height"]) == ("-100", "0", "1000", "1000")


def test_a_stretched_file_is_shown_in_the_film_s_own_aspect() -> None:
    tall = replace(FRONTAL, height=3000, width=1500)
    html = draft_page(replace(STUDY, views=(LATERAL, tall)), DRAFT, FILMS)
    figure = next(a for a in Page(html).all("svg") if a.get("aria-label") == "frontal film pa-1")
    assert figure["style"] == "aspect-ratio: 0.5000"
    assert figure["preserveaspectratio"] == "none"


def decoded_alpha(uri: str) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGBA")
    return np.asarray(image)[..., 3]


def test_an_even_attention_has_no_colour() -> None:
    assert decoded_alpha(films.heat_uri(((1 / 98,) * 7,) * 7, 98)).max() == 0


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 6), (6, 0), (1, 5)])
def test_the_strongest_cell_is_where_the_grid_has_it(row: int, column: int) -> None:
    alpha_HW = decoded_alpha(films.heat_uri(grid_at(row, column, 1.0), 49))
    rows, columns = np.nonzero(alpha_HW == alpha_HW.max())
    scale = alpha_HW.shape[0] / 7
    assert row <= rows.mean() / scale <= row + 1
    assert column <= columns.mean() / scale <= column + 1


def test_strength_is_one_scale_for_all() -> None:
    assert films.strength([0.0, 0.5, 1.0, films.FULL_LIFT, 100.0]).tolist() == [0, 0, 0, 1, 1]
    assert np.all(np.diff(films.strength(np.linspace(1, films.FULL_LIFT, 20))) > 0)
    assert films.strength(np.sqrt(films.FULL_LIFT)) == pytest.approx(0.5)


def test_float_and_bytes_make_the_same_picture() -> None:
    bytes_HW = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    assert films.film_uri(bytes_HW) == films.film_uri(bytes_HW.astype(np.float64) / 255)
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(films.film_uri(bytes_HW).split(",")[1]))))
    assert np.abs(back.astype(int) - bytes_HW).mean() < 8


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 4), np.int16),
        np.full((4, 4), np.nan),
    ],
)
def test_what_is_no_film_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="film"):
        films.film_uri(bad)


def test_films_and_views_must_fit() -> None:
    with pytest.raises(ValueError, match="2 views, but 1 films"):
        draft_page(STUDY, DRAFT, FILMS[:1])
    with pytest.raises(ValueError, match="'lat-2'"):
        draft_page(replace(STUDY, views=(FRONTAL,)), DRAFT, FILMS[1:])


def test_simulated_pixels_are_named() -> None:
    views = tuple(replace(view, simulated=True) for view in STUDY.views)
    card = replace(DRAFT.model, simulated=True)
    badges = re.compile(r'<strong class="badge">(.*?)</strong>')
    drawn = draft_page(replace(STUDY, views=views), replace(DRAFT, model=card), FILMS)
    assert badges.findall(drawn) == ["simulated pixels"]
    real_film = draft_page(STUDY, replace(DRAFT, model=card), FILMS)
    assert badges.findall(real_film) == ["model trained on simulated pixels"]


def test_what_was_drawn_can_be_shown() -> None:
    truth = DrawnFinding("Nodule", "Nodule/left", (DrawnRegion("pa-1", (5.0, 6.0, 25.0, 36.0)),), Side.LEFT)
    page = Page(draft_page(replace(STUDY, truth=(truth,)), DRAFT, FILMS))
    assert ("5", "6", "20", "30") in {
        (a["x"], a["y"], a["width"], a["height"]) for a in page.all("rect", "truth")
    }
    assert "Nodule (left)" in page.text
    assert page.all("input", "show-drawn")


def test_no_reference_no_comparison() -> None:
    for study in (replace(STUDY, report=None), replace(STUDY, report=Report(" ", ""))):
        words = Page(draft_page(study, DRAFT, FILMS)).text
        assert "Reference" not in words
        assert "missed" not in words


def test_what_differs_is_marked(one: str) -> None:
    page = Page(one)
    marks = [(a["class"].split()[1], a["title"]) for a in page.all("span", "mark")]
    assert ("missed", "missed: Pleural Effusion") in marks
    assert ("invented", "invented: Fracture") in marks
    assert ("agree", "agree: Cardiomegaly") in marks
    assert not [title for _, title in marks if "Pneumothorax" in title]
    assert "both rule out Pneumothorax" in page.text
    words = set(re.findall(r'<span class="mark ([a-z-]+)"[^>]*>([^<]*)</span>', one))
    assert ("agree", "Cardiomegaly") in words
    assert ("missed", "effusion") in {(kind, text.split()[-1]) for kind, text in words}
    assert ("invented", "fracture") in {(kind, text.split()[-1]) for kind, text in words}


def test_the_disclaimer_stands_at_the_head_and_at_the_foot(one: str) -> None:
    assert one.count(DISCLAIMER) == 2
    assert one.index(DISCLAIMER) < one.index("<main>") < one.rindex(DISCLAIMER)


def test_the_even_share_is_that_of_all_views_together() -> None:
    """Spread evenly over two films nothing is coloured; the same grid alone would be no attention at all."""
    regions = tuple(replace(r, grid=((1 / 98,) * 7,) * 7, weight=0.5) for r in DRAFT.sentences[0].regions)
    draft = replace(DRAFT, sentences=(replace(DRAFT.sentences[0], regions=regions),))
    images = [a["href"] for a in Page(draft_page(STUDY, draft, FILMS)).all("image")]
    heats = [decoded_alpha(uri) for uri in images if uri.startswith("data:image/png")]
    assert [heat.max() for heat in heats] == [0, 0]
    skewed = tuple(replace(r, grid=((w / 49,) * 7,) * 7) for r, w in zip(regions, (0.9, 0.1), strict=True))
    draft = replace(DRAFT, sentences=(replace(DRAFT.sentences[0], regions=skewed),))
    images = [a["href"] for a in Page(draft_page(STUDY, draft, FILMS)).all("image")]
    heats = [decoded_alpha(uri) for uri in images if uri.startswith("data:image/png")]
    assert [heat.max() > 0 for heat in heats] == [True, False]


def test_a_finding_shows_where_it_was_read() -> None:
    """Every finding with maps can be chosen, the present ones are drawn small in the table too."""
    read = {
        name: replace(estimate, regions=DRAFT.sentences[0].regions if name != "Edema" else ())
        for name, estimate in DRAFT.findings.items()
    }
    said = replace(DRAFT.sentences[0], map=MapKind.EVIDENCE)
    html = draft_page(STUDY, replace(DRAFT, findings=read, sentences=(said, *DRAFT.sentences[1:])), FILMS)
    assert_self_contained(html)
    page = Page(html)
    rows = page.all("tr", "finding")
    assert [row["data-n"] for row in rows] == ["3", "4"]  # after three sentences: Cardiomegaly, Lung Opacity
    assert [row["class"] for row in rows] == ["present finding", "undecided finding"]
    assert len([a for a in page.all("input") if a["type"] == "radio"]) == 1 + 3 + 2
    labels = [a.get("aria-label", "") for a in page.all("svg")]
    assert (
        labels.count("frontal: 75\u202f% of the evidence") == 2
    )  # the sentence and the one finding that is present
    assert len(page.all("g", "on")) == 3 * 2
    for number in ("0", "3", "4"):
        assert f'.study:has(:is(.sentence, .finding)[data-n="{number}"]:hover) .on[data-n="{number}"]' in html
    assert "evidence" in page.text and "Point at a finding" in page.text


def test_an_empty_draft_of_a_study_without_films() -> None:
    draft = replace(DRAFT, sentences=(), findings={}, warnings=())
    page = Page(draft_page(replace(STUDY, views=()), draft, ()))
    assert "The model wrote nothing." in page.text
    assert not page.all("div", "warnings")
    assert not page.all("table", "findings")


@pytest.mark.parametrize("word", NASTY)
def test_texts_from_outside_cannot_become_markup(word: str) -> None:
    pixels = (np.zeros((9, 9), np.uint8),) * 2
    plain, nasty = (draft_page(*dressed(text), pixels, title=text) for text in ("plain", word))
    assert skeleton(nasty) == skeleton(plain)


@settings(deadline=None, max_examples=40)
@given(st.text(min_size=1).filter(lambda text: text.strip() and not re.search(r"\w{3}", text)))
def test_no_text_changes_the_markup(word: str) -> None:
    pixels = (np.zeros((9, 9), np.uint8),) * 2
    assert skeleton(draft_page(*dressed(word), pixels, title=word)) == skeleton(
        draft_page(*dressed("plain"), pixels, title="plain")
    )


def said(name: str, state: State = State.PRESENT, side: Side | None = None) -> Finding:
    return Finding(name, state, side=side)


P, A, U = State.PRESENT, State.ABSENT, State.UNCERTAIN


@pytest.mark.parametrize(
    ("reference", "draft", "kind", "note"),
    [
        (said("X"), said("X"), Kind.AGREE, ""),
        (said("X", U), said("X"), Kind.AGREE, "reference uncertain, draft present"),
        (said("X", P, Side.LEFT), said("X", P, Side.LEFT), Kind.AGREE, ""),
        (said("X", P, Side.LEFT), said("X", P, Side.BILATERAL), Kind.AGREE, ""),
        (said("X", P, Side.LEFT), said("X", P, Side.RIGHT), Kind.OTHER_SIDE, "reference left, draft right"),
        (said("X", P, Side.LEFT), None, Kind.MISSED, "left"),
        (said("X"), said("X", A), Kind.MISSED, "the draft rules it out"),
        (None, said("X", U), Kind.INVENTED, "uncertain"),
        (said("X", A), said("X"), Kind.INVENTED, "the reference rules it out"),
        (said("X", A), said("X", A), Kind.BOTH_ABSENT, ""),
        (said("X", A), None, None, ""),
        (None, said("X", A), None, ""),
    ],
)
def test_compare(reference: Finding | None, draft: Finding | None, kind: Kind | None, note: str) -> None:
    found = compare({"X": reference} if reference else {}, {"X": draft} if draft else {})
    assert [(one.kind, one.note) for one in found] == ([] if kind is None else [(kind, note)])


def test_compare_puts_the_worst_first_and_leaves_no_finding_out() -> None:
    reference = {n: said(n) for n in ("Edema", "Fracture")} | {"Pneumonia": said("Pneumonia", P, Side.LEFT)}
    draft = {n: said(n) for n in ("Edema", "Lung Lesion", "No Finding")} | {
        "Pneumonia": said("Pneumonia", P, Side.RIGHT)
    }
    assert [(one.name, one.kind) for one in compare(reference, draft)] == [
        ("Pneumonia", Kind.OTHER_SIDE),
        ("Fracture", Kind.MISSED),
        ("Lung Lesion", Kind.INVENTED),
        ("Edema", Kind.AGREE),
    ]


def test_agreement_is_symmetrical() -> None:
    sides = [None, *Side]
    for state_a in (P, A, U):
        for state_b in (P, A, U):
            for a in sides:
                for b in sides:
                    there = compare({"X": said("X", state_a, a)}, {"X": said("X", state_b, b)})
                    back = compare({"X": said("X", state_b, b)}, {"X": said("X", state_a, a)})
                    swap = {Kind.MISSED: Kind.INVENTED, Kind.INVENTED: Kind.MISSED}
                    kinds = [swap.get(one.kind, one.kind) for one in there]
                    assert kinds == [one.kind for one in back]


_marks = st.lists(
    st.tuples(st.integers(-5, 40), st.integers(-5, 40), st.sampled_from(Kind), st.sampled_from(["a", "b"])),
    max_size=6,
).map(lambda marks: [(min(a, b), max(a, b), kind, name) for a, b, kind, name in marks])


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=30), _marks)
def test_runs_give_the_text_again(text: str, marks: list[tuple[int, int, Kind, str]]) -> None:
    cut = runs(text, marks)
    assert "".join(run.text for run in cut) == text
    order = [Kind.OTHER_SIDE, Kind.MISSED, Kind.INVENTED, Kind.AGREE]
    at = 0
    for run in cut:
        for place in range(at, at + len(run.text)):
            here = [k for low, high, k, _ in marks if low <= place < high and k is not Kind.BOTH_ABSENT]
            assert run.kind == (min(here, key=order.index) if here else None)
        at += len(run.text)


def test_a_comparison_knows_its_note() -> None:
    one = Comparison("X", Kind.MISSED, said("X", U, Side.RIGHT), None)
    assert one.note == "right, uncertain"


def chosen(html: str, sentence: int) -> str:
    """The page with one sentence chosen, as if it had been tapped."""
    html = html.replace('name="sentence-0" checked>', 'name="sentence-0">')
    at = html.index("<input", html.index(f'class="sentence" data-n="{sentence}"'))
    return html[:at] + "<input checked" + html[at + len("<input") :]


@needs_chromium
def test_choosing_a_sentence_colours_the_films_without_a_script(one: str, tmp_path: Path) -> None:
    """On the frontal film the drawn box gives the scale, and the warm spot lies at the grid's cell (1, 5)."""
    plain = re.sub(r"<script>.*?</script>", "", one, flags=re.S)
    pictures = []
    for number, html in enumerate((plain, chosen(plain, 0))):
        target = tmp_path / f"{number}.png"
        chromium(tmp_path, html, f"--screenshot={target}", "--window-size=1280,900")
        pictures.append(np.asarray(Image.open(target).convert("RGB")).astype(int)[:700, 43:340])
    clean, lit = pictures
    changed_HW = np.abs(lit - clean).max(axis=2) > 40
    rows, columns = np.nonzero(changed_HW & (lit[..., 2] - lit[..., 0] > 60))
    left, top, scale = columns.min(), rows.min(), np.ptp(columns) / 200.5
    assert np.ptp(rows) / 200 == pytest.approx(scale, rel=0.05)
    heat_HW = np.where(changed_HW, np.maximum(lit[..., 0] - lit[..., 2] - 60, 0), 0)
    heat_HW[top + round(300 * scale) + 40 :] = 0  # below the film stands the bar with the share
    heat_HW = heat_HW.astype(float)
    row, column = (np.average(axis, weights=heat_HW) for axis in np.indices(heat_HW.shape))
    assert (column - left) / scale == pytest.approx(5.5 / 7 * 800 - 100, abs=25)
    assert (row - top) / scale == pytest.approx(1.5 / 7 * 1000 - 200, abs=25)


@needs_chromium
def test_a_second_tap_and_escape_clear_the_films(one: str, tmp_path: Path) -> None:
    steps = """
    const label = document.querySelector('.sentence[data-n="0"] .words');
    const input = document.querySelector('.sentence[data-n="0"] input');
    const seen = [];
    label.click(); seen.push(input.checked);
    label.click(); seen.push(input.checked);
    label.click(); seen.push(input.checked);
    input.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape", bubbles: true})); seen.push(input.checked);
    document.title = "steps " + seen.join(" ");
    """
    assert after(tmp_path, one, steps) == "steps true false true false"
