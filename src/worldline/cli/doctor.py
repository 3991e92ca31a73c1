"""`worldline doctor`: whether this machine has what Worldline needs."""

from worldline.cli.options import Flag
from worldline.cli.output import console, print_json


def doctor(*, json: Flag = False) -> int:
    """Check this machine and say, in a line each, what is wrong and what to do.

    The exit code is 1 if something is missing without which nothing works.

    Args:
        json: print one JSON object instead of words.
    """
    from worldline.cli.checks import run_checks

    checks = run_checks()
    works = all(check.ok for check in checks if check.core)
    if json:
        found = [{"name": c.name, "ok": c.ok, "core": c.core, "text": c.text} for c in checks]
        print_json({"ok": works, "checks": found})
    else:
        for check in checks:
            mark = "ok   " if check.ok else "WRONG" if check.core else "note "
            console().print(f"{mark} {check.name:<8} {check.text}")
    return 0 if works else 1
