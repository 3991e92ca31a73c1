"""`worldline demo`: reconstructs the clip that comes with the package, or one's own."""

from pathlib import Path
from typing import Any

from worldline.cli.options import Flag, SystemName, Video
from worldline.cli.output import console, print_json
from worldline.cli.progress import progress, shown


def demo(
    *,
    video: Video = None,
    out: Path = Path("out/demo"),
    system: SystemName = "classic",
    json: Flag = False,
    quiet: Flag = False,
) -> None:
    """Reconstruct the clip that comes with the package, and print how far it is from the truth.

    The scene goes to OUT, which is replaced, and a picture of it to OUT.png.

    Args:
        video: another video, whose truth is not known.
        out: directory to write the scene to.
        system: how; a name in worldline.systems.SYSTEMS.
        json: print one JSON object instead of words.
        quiet: show no progress.
    """
    sheet = out.with_name(f"{out.name}.png")
    errors = None
    with progress(quiet=quiet) as listener:
        from worldline.io.sheet import write_sheet
        from worldline.systems import reconstruct

        scene = reconstruct(
            video or _demo_clip(), out=out, system=system, overwrite=True, listener=listener
        )
        with shown(listener, "picture"):
            write_sheet(scene, sheet)
        if video is None:
            with shown(listener, "compare"):
                errors = _errors(scene)
    from worldline.cli.summary import look_lines, scene_facts, summary_lines

    facts = scene_facts(scene, out) | {"sheet": str(sheet)}
    if json:
        print_json(facts | {"errors": None if errors is None else vars(errors)})
        return
    lines = [*summary_lines(facts), *look_lines(out, sheet)]
    console().print("\n".join([*lines, *([] if errors is None else error_lines(errors))]))


def _demo_clip() -> Path:
    from worldline.synth.demo import demo_clip_path

    return demo_clip_path()


def _errors(scene: Any) -> Any:
    from worldline.evaluation.reconstruction import evaluate_against
    from worldline.synth.demo import demo_truth

    return evaluate_against(demo_truth(), scene)


def error_lines(errors: Any) -> list[str]:
    """The errors of a scene of the demo clip, in a table."""
    still = f"({errors.displacement_epe_zero:.3f} m if nothing moved)"
    rows = [
        ("camera path (ATE)", f"{errors.ate_percent:.2f} % of its length"),
        ("camera rotation", f"{errors.rpe_rotation:.3f} degrees from frame to frame"),
        ("focal length", f"{errors.focal_error_percent:.2f} %"),
        ("depth, static", f"{errors.depth_absrel_static_measured:.2%} of the depth where measured"),
        ("", f"{errors.static_measured_share:.0%} of the static pixels are"),
        ("depth, moving", f"{errors.depth_absrel_moving:.2%} of the depth"),
        ("mask", f"{errors.mask_iou:.3f} intersection over union"),
        ("motion", f"{errors.displacement_epe_moving:.3f} m on moving pixels {still}"),
    ]
    return ["", "errors against the truth", *(f"  {name:<18} {text}" for name, text in rows)]
