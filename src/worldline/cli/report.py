"""`worldline report`: the page that says how far a stored scene can be trusted."""

from dataclasses import asdict
from pathlib import Path

import tyro

from worldline.cli.options import Flag, Page
from worldline.cli.output import console, print_json
from worldline.cli.progress import progress, shown


def report(
    scene: tyro.conf.Positional[Path],
    *,
    out: Page = None,
    json: Flag = False,
    quiet: Flag = False,
) -> None:
    """Check a stored scene against its own pictures, and write what was found as an HTML page.

    Args:
        scene: the scene's directory.
        out: where to write the page; without it, report.html in the scene's directory.
        json: print one JSON object instead of words.
        quiet: show no progress.
    """
    with progress(quiet=quiet) as listener:
        from worldline.scene import load_scene
        from worldline.scene.store import atomic_file, write_text
        from worldline.selfcheck import PAGE, check_scene, report_page

        stored, path = load_scene(scene), out or scene / PAGE
        with shown(listener, "check"):
            check = check_scene(stored)
            page = report_page(stored, check)
            with atomic_file(path, needed=len(page)) as temporary:
                write_text(temporary, page)
    if json:
        findings = [asdict(finding) for finding in check.findings]
        print_json({"report": str(path), "verdict": check.verdict, "findings": findings})
        return
    lines = [check.verdict, *(f"  {one.what} {one.so}" for one in check.findings)]
    console().print("\n".join([*lines, f"report    {path}"]))
