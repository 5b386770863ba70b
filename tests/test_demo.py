from __future__ import annotations

from pathlib import Path

import pytest

from hilum import demo
from hilum.errors import InputError


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not a demo's folder"):
        demo.run_demo(tmp_path, studies=60, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_small_demo_runs_whole_and_again(tmp_path: Path, openi_archive: Path) -> None:
    page = demo.run_demo(tmp_path / "demo", studies=60, seed=0)
    text = page.read_text()
    assert "imulated" in text and "floor" in text and "a physician decides" in text
    again = demo.run_demo(tmp_path / "demo", studies=60, seed=0)
    assert again == page and openi_archive.is_file()
