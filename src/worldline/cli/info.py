"""`worldline info`: what a stored scene holds."""

from pathlib import Path

import tyro

from worldline.cli.options import Flag
from worldline.cli.output import console, print_json


def info(scene: tyro.conf.Positional[Path], *, json: Flag = False) -> None:
    """Print what a stored scene holds.

    Args:
        scene: the scene's directory.
        json: print one JSON object instead of words.
    """
    from worldline.cli.summary import scene_facts, summary_lines
    from worldline.scene import load_scene

    facts = scene_facts(load_scene(scene), scene)
    if json:
        print_json(facts)
        return
    origin = facts["provenance"]
    first, last = facts["seconds"]
    made = f"{facts['system']} {origin.get('revision', '')} of worldline {origin.get('worldline')}"
    lines = [
        *summary_lines(facts),
        f"span      {first:.3f} to {last:.3f} s",
        f"made by   {made}",
        *(f"setting   {name} {value}" for name, value in origin.get("settings", {}).items()),
    ]
    console().print("\n".join(lines))
