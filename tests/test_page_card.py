"""The scorecard's page: every number of the card, the floors beside it, and texts that differ coloured."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.evaluation import score
from hilum.metrics.intervals import Interval
from hilum.metrics.scorecard import HEADLINE, Scorecard
from hilum.page import score_page
from hilum.page.card import confusion
from hilum.study import Finding, State

VOID = {"meta", "input", "br", "img", "link", "hr"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
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


class Page(HTMLParser):
    """Tags with their attributes, the text of each table row, and whether every tag is closed in turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)
            if self.rows and ("td" in self.open or "th" in self.open):
                self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def marked(self, kind: str) -> list[str]:
        return [a["title"] for t, a in self.tags if t == "span" and a.get("class") == f"mark {kind}"]


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
    page = Page(html)
    assert not [a for _, a in page.tags for name in ("src", "srcset", "action") if name in a]
    assert "https://" not in html and "http://" not in html and "@import" not in html
    script = re.findall(r"<script>(.*?)</script>", html, re.S)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]
    assert "A <small> note." in page.text


def test_the_headline_is_the_lift_over_the_best_floor(html: str, cards: dict[str, Scorecard]) -> None:
    card, page = cards["honest"], Page(html)
    first = next(name for name in HEADLINE if name in card.lift["ours"])
    lift = card.lift["ours"][first]
    assert f"ours {lift.value:+.3f} ( {lift.low:+.3f}".replace("( ", "(") in page.text.replace("( ", "(")
    assert f"over {lift.over}" in page.text
    for metric in (name for name in HEADLINE if name in card.lift["ours"]):
        value = card.lift["ours"][metric].value
        assert any(f"{value:+.3f}" in row[1] for row in page.rows if len(row) == 5), metric


def test_every_system_and_every_metric_stands_in_a_table(html: str, cards: dict[str, Scorecard]) -> None:
    card, page = cards["honest"], Page(html)
    for system, found in card.systems.items():
        name = system.partition(":")[2] or system
        rows = [row for row in page.rows if row and row[0].split()[:1] == [name]]
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


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_click_sorts_and_a_second_one_turns_round(html: str, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    steps = """<script>
    const table = [...document.querySelectorAll("table.sortable")].find((t) => t.tBodies[0].rows.length > 8);
    const values = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[4].dataset.v));
    const falling = (v) => v.every((x, k) => k === 0 || v[k - 1] >= x);
    const head = table.tHead.rows[0].cells[4], button = head.querySelector("button");
    const seen = [falling(values())];
    button.click(); seen.push(falling(values()), head.getAttribute("aria-sort"));
    button.click(); seen.push(falling(values().reverse()), head.getAttribute("aria-sort"));
    document.title = "steps " + seen.join(" ");
    </script></body>"""
    source = tmp_path / "page.html"
    source.write_text(free.replace("</body>", steps), encoding="utf-8")
    printed = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", source.as_uri()],
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    assert "<title>steps false true descending true ascending</title>" in printed
