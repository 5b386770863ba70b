"""What people look at: one HTML file that needs no network, and the JSON that other programs read.

films      films and region maps as pictures that fit into the page
compare    what the draft says beside what the reference says: agree, other side, missed, invented
card       the scorecard of anybody's reports: lift, plots, tables, confusion of findings, report beside report
scorecard  the table and the plot of a model beside its floors
render     the two pages: one draft, or a demo with its scorecard
plain      a draft for a terminal
draft      the Draft as JSON (``docs/schemas/draft.schema.json``)
"""

from hilum.page.card import score_page
from hilum.page.draft import draft_json
from hilum.page.plain import draft_text
from hilum.page.render import demo_page, draft_page

__all__ = ["demo_page", "draft_json", "draft_page", "draft_text", "score_page"]
