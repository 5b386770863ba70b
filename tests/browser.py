"""Pages under test: parsed strictly, and opened in Chromium where there is one."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

VOID = {"meta", "input", "br", "img", "link", "hr"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


class Page(HTMLParser):
    """Tags with their attributes, the text, that of each table row, and whether every tag is closed in turn."""

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
        assert len(attrs) == len({name for name, _ in attrs}), f"an attribute twice in {tag}"
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

    def all(self, tag: str, cls: str | None = None) -> list[dict[str, str]]:
        """The attributes of every ``tag``, of those with the class ``cls`` where it is given."""
        return [a for t, a in self.tags if t == tag and (cls is None or cls in a.get("class", "").split())]

    @property
    def text(self) -> str:
        """The page's text; every run of white space, the narrow one before % too, is one space."""
        return " ".join(" ".join(self.words).split())

    def marked(self, kind: str) -> list[str]:
        """What the marks of one kind say of themselves."""
        return [a["title"] for a in self.all("span", "mark") if kind in a["class"].split()]


def assert_self_contained(html: str) -> None:
    """The page fetches nothing, runs its own script alone, and no id stands twice or is missed."""
    page = Page(html)
    links = [a[n] for _, a in page.tags for n in ("src", "href", "srcset", "action", "data") if n in a]
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert not page.all("link") and not page.all("iframe") and not page.all("object")
    assert "@import" not in html and not re.search(r"url\((?!data:)", html)
    assert not re.search(r"https?://", html)
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]
    scripts = re.findall(r"<script>(.*?)</script>", html, re.S)
    assert len(scripts) == len(page.all("script")) == 1
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
        for name in ("aria-labelledby", "for"):
            assert name not in attributes or attributes[name] in ids


def skeleton(html: str) -> list[tuple[str, tuple[str, ...]]]:
    """Tags and attribute names, which no text from outside may change."""
    return [(tag, tuple(attributes)) for tag, attributes in Page(html).tags]


def chromium(folder: Path, html: str, *arguments: str) -> str:
    """What chromium prints about a page. No sandbox: tests may run as root."""
    assert CHROMIUM is not None
    source = folder / "page.html"
    source.write_text(html, encoding="utf-8")
    return subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
         f"--user-data-dir={folder / 'profile'}", *arguments, source.as_uri()],
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip


def after(folder: Path, html: str, steps: str) -> str:
    """The title that the page has after the JavaScript ``steps``, which may set it."""
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    printed = chromium(folder, free.replace("</body>", f"<script>{steps}</script></body>"), "--dump-dom")
    found = re.search(r"<title>(.*?)</title>", printed, re.S)
    assert found is not None
    return found[1]
