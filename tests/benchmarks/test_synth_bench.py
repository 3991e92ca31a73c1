"""The table of errors by difficulty: medians of what is known, and what failed."""

from synth_bench import COLUMNS, report


def test_the_table_has_medians_rungs_and_failures():
    known = {name: 1.0 for _, name, _ in COLUMNS} | {"rung": "free", "true_camera": "free"}
    entries = {
        "fast-1": known | {"ate_percent": 2.0},
        "fast-2": known | {"ate_percent": 4.0, "mask_iou": None, "true_camera": "rotation"},
        "mostly-dynamic-1": {"error": "ReconstructionError: too dark"},
    }
    _, _, dynamic, fast, failed = report(entries).splitlines()
    assert fast.startswith("| fast | 2 of 2 | free, free (is rotation) | 3.00 |")
    assert "| 1.000 |" in fast
    assert dynamic.startswith("| mostly-dynamic | 0 of 1 |  | - |")
    assert failed == "- mostly-dynamic-1: ReconstructionError: too dark"
