"""What every page shares: its frame, its styles and its script; and the page of one study with its draft."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup

from hilum.page import films as pictures
from hilum.page.studies import Film, ShownStudy, show
from hilum.study import DISCLAIMER, Draft, Study


def draft_page(study: Study, draft: Draft, films: Sequence[Film], *, title: str = "") -> str:
    """One self-contained HTML file: the films, the draft sentence by sentence, and what each one looked at.

    ``films`` are the pixels of ``study.views``, in that order and in file pixels: height × width, float in
    [0, 1] or uint8. Where the study has a reference report, it stands beside the draft with what differs
    coloured. Raises ValueError where films, views and regions do not fit together.
    """
    shown = show(0, (study, draft, films), pictures.LONGEST_SIDE)
    return render("draft.html", title or f"Draft report of {study.id}", [shown])


def render(
    template: str,
    title: str,
    studies: Sequence[ShownStudy],
    *,
    styles: Sequence[str] = ("page.css",),
    scripts: Sequence[str] = ("page.js",),
    simulated_films: bool = False,
    **context: object,
) -> str:
    """A page from ``template``, with the styles and scripts of those files inside it.

    ``simulated_films`` says that films behind the page are simulated, whether it shows one or not.
    """
    script = "".join(map(resource, scripts))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment().get_template(template).render(
        title=title,
        studies=studies,
        most_maps=max((look.number + 1 for one in studies for look in one.mapped), default=0),
        style=Markup("".join(map(resource, styles))),
        script=Markup(script),
        script_digest=digest,
        legend=pictures.legend_stops(),
        full_lift=pictures.FULL_LIFT,
        disclaimer=DISCLAIMER,
        simulated_films=simulated_films or any(one.simulated_films for one in studies),
        simulated_model=any(one.simulated_model for one in studies),
        **context,
    )  # fmt: skip


@cache
def environment() -> jinja2.Environment:
    """The templates' environment: everything is escaped, and an unknown name is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hilum.page", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.0f}\u202f%"
    environment.filters["px"] = lambda number: f"{number:.2f}".rstrip("0").rstrip(".")
    return environment


def resource(name: str) -> str:
    """The text of one of the templates' files."""
    return (files("hilum.page") / "templates" / name).read_text(encoding="utf-8")
