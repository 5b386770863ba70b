"""What people look at: one HTML file that needs no network, and the JSON that other programs read.

films      films and region maps as pictures that fit into the page
compare    what the draft says beside what the reference says: agree, other side, missed, invented
confusion  how often each of the four values in one text met each in another
beside     report beside report, without films
studies    one study ready to be shown: films, draft, reference, what differs
scorecard  one metric of every system as a plot
curves     reliability, ROC and precision–recall as diagrams
render     what every page shares, and the page of one draft
card       the scorecard's page: anybody's reports, or a model's drafts with their films
describe   the page of a data set
charts     its charts
captions   its figures in words
plain      a draft for a terminal
draft      the Draft as JSON (``docs/schemas/draft.schema.json``)
"""

from hilum.page.card import score_page
from hilum.page.draft import draft_json
from hilum.page.plain import draft_text
from hilum.page.render import draft_page

__all__ = ["draft_json", "draft_page", "draft_text", "score_page"]
