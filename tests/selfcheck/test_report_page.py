"""The report page: complete by itself, well formed, and its numbers are the check's."""

from html.parser import HTMLParser

import numpy as np
import pytest
from wall_world import unregistered

from worldline.scene import Scene
from worldline.selfcheck import Check, check_scene, report_page
from worldline.selfcheck.plots import curve, ticks

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Text, attributes and table rows of a page; asserts that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.rows: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("th", "td"):
            self.cell = ""

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "th":
            self.name = self.cell
        if tag == "td":
            self.rows[self.name] = self.cell

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if self.open and self.open[-1] in ("th", "td"):
            self.cell += data


def made(scene: Scene) -> tuple[str, Page, Check]:
    check = check_scene(scene)
    html = report_page(scene, check)
    return html, Page(html), check


def test_every_page_stands_alone_and_says_what_was_found(doubtful):
    html, page, check = made(doubtful[1])
    for words in ("http:", "https:", "url(", "@import", "<script", "<link"):
        assert words not in html
    sources = [value for name, value in page.attributes if name in ("src", "href")]
    assert sources and all(str(source).startswith("data:image/jpeg;base64,") for source in sources)
    assert "nan" not in page.text.lower().split()
    assert check.verdict in page.text
    for finding in check.findings:
        assert finding.what in page.text and finding.so in page.text


def test_its_numbers_are_the_checks(good):
    _, page, check = made(good)
    numbers = check.numbers
    rows = page.rows
    assert rows["focal length"] == f"{numbers.focal:.0f} ± {numbers.focal_sigma:.0f} px (one sigma)"
    assert rows["field of view"] == f"{numbers.field_of_view:.1f}° across"
    assert rows["optical-flow residual"] == f"{numbers.flow.median:.2f} px in the median"
    assert rows["reprojection residual"] == f"{numbers.reprojection.median:.2f} px in the median"
    assert rows["depth"] == "measured on 100% of the pixels, filled in on 0%"
    assert rows["registered"] == "12 of 12 frames (100%)"
    assert rows["frames"] == "12, over 1.10 s" and rows["moving"] == "0.0% of the pixels"
    assert rows["size"] == "320×240 px, worked at 160×120"
    for value in numbers.flow.pixels:
        assert f"{value:.2f} px" in page.text  # the notes of the plot's points


def test_names_cannot_break_the_page(good):
    html, page, _ = made(good)
    assert "a &lt;wall&gt; &amp; more" in html and "a <wall> & more" in page.text


def test_unregistered_frames_are_red():
    html, page, _ = made(unregistered())
    assert page.text.count("not registered") == 2 * 3  # in both views
    assert "The 3 red ones" in page.text and 'fill="#c62828"' in html


def test_a_curve_breaks_where_nothing_is_known_and_keeps_wild_values_in_view():
    values = np.array([0.1, 0.2, np.nan, 0.3, 500.0])
    svg = curve(np.arange(5.0), values, "px", limit=1.0)
    assert svg.count("<polyline") == 2 and svg.count("<circle") == 4
    assert "500.00 px" in svg and "-" not in svg.split('cy="')[-1].split('"')[0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 2.4, [0, 1, 2]),
        (-1.0, 1.0, [-1, -0.5, 0, 0.5, 1]),
        (3.0, 3.0, [3]),
        (0.0, 0.04, [0, 0.01, 0.02, 0.03, 0.04]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high, 4) == expected
