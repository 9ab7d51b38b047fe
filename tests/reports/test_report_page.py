"""The report of a release in a real database."""

import base64
import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from catalog.release import ReleaseError, ReleaseRecord
from reports.against import ReportError
from reports.data import ReportData, load
from reports.files import write_report
from reports.headline import headlines
from reports.page import flatten, render, unlisted
from reports.report import Report
from tests.released_sky import N_FGL, N_FHL, N_SOURCES, VERSION


class Page(HTMLParser):
    """What a browser would fetch, link to and show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.scripts: dict[str, str] = {}
        self.text = ""
        self._script: str | None = None
        self._hidden = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.links += [(tag, found[key]) for key in ("src", "href") if found.get(key)]
        self.ids += [found["id"]] if "id" in found else []
        self._hidden = tag in ("script", "style")
        self._script = found.get("data-catalog") if tag == "script" else None

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._script, self._hidden = None, False

    def handle_data(self, data):
        if self._script:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        elif not self._hidden:
            self.text += data


def _write(engine: sa.Engine, folder: Path) -> str:
    with engine.connect() as conn:
        conn.execute(sa.text("SET TRANSACTION READ ONLY"))
        path = write_report(conn, VERSION, folder)
    assert path == folder / "report.html"
    assert sorted(p.name for p in folder.iterdir()) == ["report-numbers", "report.html", "report.pdf"]
    return path.read_text(encoding="utf-8")


def test_data_of_a_release_is_of_its_run_and_of_what_it_was_compared_with(released):
    with released.connect() as conn:
        data = load(conn, VERSION)
    assert len(data.sources) == N_SOURCES
    assert data.sources["source_name"].is_monotonic_increasing
    assert data.catalogs["label"].tolist() == ["4FGL-DR2", "3FHL"]
    assert data.references["catalog"].value_counts().to_dict() == {"4FGL-DR2": N_FGL, "3FHL": N_FHL}
    assert data.associations["catalog"].value_counts().to_dict() == {"4FGL-DR2": N_SOURCES, "3FHL": N_FHL}
    assert np.isnan(data.sources["conf_95_semimajor_deg"]).sum() == 1
    told = data.references.groupby("catalog")["signif_above"].unique()
    assert told["4FGL-DR2"].tolist() == [5.0]
    assert np.isnan(told["3FHL"]).all()


def test_the_same_release_reported_twice_is_the_same_file(released, tmp_path):
    first = _write(released, tmp_path)
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert _write(released, tmp_path) == first
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == files
    assert "smoothed with a Gaussian" in first


def test_the_page_holds_every_row_and_needs_nothing_but_itself(released, tmp_path):
    text = _write(released, tmp_path)
    page = Page(text)
    assert all(link.startswith(("data:", "#")) for _, link in page.links)
    assert not re.search(r"url\((?!%23)|@import|\bfetch\(|XMLHttpRequest|<link|srcset", text)
    anchors = {link[1:] for _, link in page.links if link.startswith("#")}
    assert anchors <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))

    with released.connect() as conn:
        data = load(conn, VERSION)
    assert list(page.scripts) == ["4FGL-DR2", "3FHL"]
    for catalog, script in page.scripts.items():
        found = json.loads(script)
        rows = pd.DataFrame(found["rows"], columns=found["keys"])
        references, _ = data.of_catalog(catalog)
        assert sorted(rows["source_name"].dropna()) == data.sources["source_name"].tolist()
        assert sorted(rows["name_ref"].dropna()) == sorted(references["name"])

    shown = " ".join(page.text.split())
    facts = [VERSION, "a-sky", "4,321 photons", "2008-08-04 to 2016-10-20", "seed 7", "2026-01-02 03:04 UTC"]
    recovery = [
        "75.0 % of 4FGL-DR2 recovered",
        "60 of 80 within 0.3°",
        "75.0 % of the 80 above 5 σ over 10 GeV",
        "100.0 % of 3FHL recovered",
    ]
    for words in (*facts, *recovery, "<Mkn> & co"):
        assert words in shown

    tables = [link for tag, link in page.links if tag == "a" and link.startswith("data:text/csv;base64,")]
    pictures = [link for tag, link in page.links if tag == "img"]
    # Sky, plane, two of recovery, positions, one of fluxes (3FHL's range is the survey's), two of classes,
    # significance; tables also by significance and of the bright misses of both, and the new detections.
    assert len(pictures) == 9
    assert len(tables) == 9 + 1 + 2 * 2 + 1
    frames = [list(csv.reader(io.StringIO(base64.b64decode(t.split(",")[1]).decode()))) for t in tables]
    assert all(len({len(row) for row in frame}) == 1 for frame in frames)
    assert len(frames[0]) == N_SOURCES + 1
    for picture in pictures:
        root = ElementTree.fromstring(unquote(picture.removeprefix("data:image/svg+xml,")))
        references = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
        assert all(v.startswith(("#", "data:image/png;base64,")) for v in references)


def test_an_unknown_release_is_an_error_of_one_line(released, tmp_path):
    with released.connect() as conn, pytest.raises(ReleaseError, match="there is no release other"):
        write_report(conn, "other", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_provenance_is_flattened_in_order():
    tree = {"b": {"y": [1, 2], "x": None}, "a": [{"f": "1"}, {"f": "2"}]}
    assert list(flatten(tree)) == [("a.1.f", "1"), ("a.2.f", "2"), ("b.x", "None"), ("b.y", "1, 2")]
    flags = {"16": "near", "8": "faint", "131072": "broad", "a": ""}
    assert [name for name, _ in flatten(flags)] == ["8", "16", "131072", "a"]


def test_the_meaning_of_flags_stands_once_in_the_provenance():
    provenance = {
        "flags": {"8": "faint"},
        "settings": {"flags": {"8": "faint"}, "threshold": 0.5},
        "inputs": [],
    }
    assert unlisted(provenance) == {"flags": {"8": "faint"}, "settings": {"threshold": 0.5}}
    provenance["settings"]["flags"] = {"8": "fainter"}
    assert unlisted(provenance)["settings"] == {"flags": {"8": "fainter"}, "threshold": 0.5}


def test_completeness_and_purity_come_from_a_simulated_skys_release(by_hand):
    true = by_hand.references.assign(true_npred=10.0, true_flux_cm2_s=[2e-10, 1e-10, 3e-11, 1.1e-10, 2e-12])
    simulation = replace(
        by_hand,
        release=replace(by_hand.release, version="sim-1"),
        references=true,
        catalogs=by_hand.catalogs.assign(truth=True),
    )
    report = Report(replace(by_hand, simulation=simulation))
    drawn = {figure.key: figure for figure in report.figures}["simulated-sim-1"]
    assert drawn.title == "Completeness and purity on a simulated sky"
    assert "CAT of release sim-1" in drawn.caption
    assert report.numbers()["simulated-sim-1"]["quantity"].nunique() == 3
    told = {h.label: (h.value, h.detail) for h in report.headlines}
    assert told["are true on a simulated sky"] == ("66.7 %", "2 of 3 sources of release sim-1")


def test_headlines_say_how_many_are_likely_and_what_is_true_of_them(by_hand):
    """Of three sources the last one is no true one, and has the lowest probability."""
    judged = by_hand.sources.assign(prob_real=[0.9, 0.5, 0.4])
    true = by_hand.references.assign(true_npred=10.0, true_flux_cm2_s=1e-10)
    data = replace(by_hand, sources=judged, references=true, catalogs=by_hand.catalogs.assign(truth=True))
    told = {
        h.label: (h.value, h.detail) for h in headlines(replace(by_hand, simulation=data, sources=judged))
    }
    assert told["sources"] == ("3", "run 1, matched-filter; 2 of them with Prob_Real of 0.5 or more")
    detail = "2 of 3 sources of release v1; 100.0 % of those with Prob_Real of 0.5 or more"
    assert told["are true on a simulated sky"] == ("66.7 %", detail)


def test_a_release_without_a_truth_says_nothing_of_completeness(released, tmp_path):
    with released.connect() as conn:
        with pytest.raises(ReportError, match=f"release {VERSION} is not of a simulated sky"):
            write_report(conn, VERSION, tmp_path, simulated=VERSION)
        with pytest.raises(ReleaseError, match="there is no release other"):
            write_report(conn, VERSION, tmp_path, simulated="other")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def by_hand(sources, candidates, references, associations) -> ReportData:
    """A release of the sky counted by hand, compared with one catalogue."""
    catalog = {"label": "CAT", "name": "CAT", "version": "v1", "sha256": "c" * 64, "file_name": "cat.fit"}
    observation = {"name": "a-sky", "survey": "lat-10gev", "irfs": "P8R2_SOURCE_V6", "total_counts": 100}
    observation |= {"content_sha256": "a" * 64, "tstart_met_s": None, "tstop_met_s": None}
    run = {"id": 1, "detector": "matched-filter", "seed": 7}
    provenance = {"run": run, "observation": observation, "inputs": [], "references": []}
    return ReportData(
        release=ReleaseRecord(
            "v1", 1, len(sources), datetime(2026, 1, 2, tzinfo=UTC), provenance, None, True
        ),
        catalogs=pd.DataFrame([catalog | {"citation": "a paper", "truth": False}]),
        observation_id=1,
        sources=sources,
        candidates=candidates,
        references=references,
        associations=associations,
        classes=pd.DataFrame(columns=["detection_id", "variant", "bll", "fsrq", "psr", "pwn_snr", "fake"]),
        cards=pd.DataFrame(columns=["name", "sha256", "card"]),
    )


@pytest.mark.parametrize("empty", ["sources", "associations", "catalogs"])
def test_a_release_with_nothing_in_it_still_has_a_page(by_hand, empty):
    """No source found; no candidate found; no catalogue to compare with."""
    none = {"sources": ["sources", "associations"], "associations": ["associations"]}
    none |= {"catalogs": ["catalogs", "references", "associations"]}
    data = replace(by_hand, **{name: getattr(by_hand, name).iloc[:0] for name in none[empty]})
    page = Page(render(Report(data)))
    shown = " ".join(page.text.split())
    assert f"{len(data.sources)} sources" in shown
    assert not re.search(r"\b(nan|inf)\b", shown.lower())
    assert "The run had no class networks" in shown
    assert "The run used no trained network" in shown
    listed = json.loads(next(iter(page.scripts.values())))
    rows = pd.DataFrame(listed["rows"], columns=listed["keys"]).reindex(columns=["source_name"])
    assert sorted(rows["source_name"].dropna()) == data.sources["source_name"].tolist()


def test_six_bands_have_their_pictures_from_the_sharp_ones(by_hand):
    provenance = by_hand.release.provenance
    provenance["observation"]["survey"] = "lat-6band"
    references = by_hand.references.assign(flux_range_gev=[[1.0, 100.0]] * 5)
    data = replace(by_hand, references=references)
    report = Report(data, np.ones(12 * 64**2))
    shown = " ".join(Page(render(report)).text.split())
    assert "0.3-0.5 GeV" in shown and "Grey: 1 to 1000 GeV, smoothed" in shown
    # The survey's flux is of the reference's energies: the figure of fluxes is there.
    assert {"plane", "flux-cat", "misses-cat"} <= {figure.key for figure in report.figures}
    assert report.numbers()["flux-cat"]["ratio"].tolist() == pytest.approx([2.0, 1.0])
