"""What several test files share: the real reports, the shared data, small made archives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from hilum.data import fetch
from hilum.data.openi_reports import read_reports
from hilum.errors import FetchError
from hilum.study import Study
from tests.loopback import Serve, Servers

ROOT = Path(__file__).parents[1]

# `make test` draws the same examples on every machine, so that it says the same of the same code everywhere;
# `make test-all` draws new ones each time. What it finds becomes an @example.
settings.register_profile("search", deadline=None, print_blob=True)
settings.register_profile("fixed", deadline=None, derandomize=True)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def openi_archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of all 3,955 real reports, its tables beside it; obtained once into pytest's cache folder.

    ``HILUM_OPENI_REPORTS`` may name a folder with the wheel or the files. Skips, with what each source said,
    where the reports cannot be had.
    """
    named = os.environ.get("HILUM_OPENI_REPORTS")
    cache = getattr(request.config, "cache", None)
    folder = tmp_path_factory.mktemp("openi") if cache is None else Path(cache.mkdir("openi"))
    if named:
        return fetch.openi_reports(folder, offline=Path(named))
    said = []
    for source in ("installed", "wheel"):
        try:
            return fetch.openi_reports(folder, source=source)
        except FetchError as error:
            said.append(error.what)
    pytest.skip("; ".join(said))


@pytest.fixture(scope="session")
def openi_studies(openi_archive: Path) -> list[Study]:
    """All 3,955 real studies, read once; text only, projections unknown."""
    return read_reports(openi_archive)[0]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development data; skips where it is absent."""
    folder = Path(os.environ.get("HILUM_SHARED_DATA") or ROOT / ".." / "shared" / "data").resolve()
    if not (folder / "openi").is_dir():
        pytest.skip(f"HILUM_SHARED_DATA: no shared data in {folder.name}/")
    return folder


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts HTTP servers on the loopback, reached without any proxy; they end with the test."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    servers = Servers()
    yield servers
    servers.stop()
