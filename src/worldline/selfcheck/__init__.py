"""The self-check: whether a scene agrees with its own pictures, and the page that says so."""

from worldline.selfcheck.check import Check, check_scene
from worldline.selfcheck.findings import Finding
from worldline.selfcheck.numbers import Numbers, Residuals
from worldline.selfcheck.page import PAGE, report_page

__all__ = [
    "PAGE",
    "Check",
    "Finding",
    "Numbers",
    "Residuals",
    "check_scene",
    "report_page",
]
