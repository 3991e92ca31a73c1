"""`worldline reconstruct`: a video, images or one image become a scene on the disk."""

from pathlib import Path
from typing import Literal

import tyro

from worldline.cli.options import (
    Count,
    Flag,
    Folder,
    Number,
    Picture,
    Pixels,
    Source,
    SystemName,
    Text,
    Whole,
)
from worldline.cli.output import console, errors, print_json
from worldline.cli.progress import progress, shown


def reconstruct(  # noqa: PLR0913 # one name for each choice a user has
    source: tyro.conf.Positional[str],
    *,
    out: Folder = None,
    system: SystemName = "classic",
    start: Number = None,
    end: Number = None,
    stride: Whole = 1,
    max_frames: Count = None,
    size: Pixels = 640,
    focal: Number = None,
    intrinsics: Text = None,
    cameras_from: Source = None,
    depth_from: Source = None,
    masks_from: Source = None,
    weights: Text = None,
    device: Text = None,
    cameras: Literal["head", "rays"] = "head",
    tracker: Text = None,
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    seed: Whole = 0,
    overwrite: Flag = False,
    sheet: Picture = None,
    view: Flag = False,
    json: Flag = False,
    quiet: Flag = False,
) -> None:
    """Turn a video, a folder of images, a glob or one image into a scene.

    A run that was stopped or killed resumes when the same command is given again.

    Args:
        source: video, folder of images, quoted glob such as "shots/*.jpg", or one image.
        out: directory to write the scene to; without it SOURCE's name with .scene, here.
        system: how; a name in worldline.systems.SYSTEMS.
        start: first time to keep, in seconds of the source.
        end: frames at or after this time are left out, in seconds.
        stride: keep every STRIDE-th frame.
        max_frames: keep at most so many of those, the first ones.
        size: longest side to work at, in pixels; never enlarges; None: as it is.
        focal: focal length in pixels of the original, if it is known.
        intrinsics: fx,fy,cx,cy[,k1,k2,p1,p2[,k3]] in pixels of the original, or a .json or .npz.
        cameras_from: known cameras: COLMAP model, transforms.json, TUM .txt or .npz.
        depth_from: known depth: folder of 16-bit .png, .exr or .npy, or an .npz; 0 or NaN: unknown.
        masks_from: what is known to move: folder of .png (white moves) or .npy, or an .npz.
        weights: of a system that is a network: a file, or a checkpoint that was downloaded.
        device: that a network runs on, such as cuda or cpu; without it a GPU if there is one.
        cameras: read from a network's camera head, or from its ray maps (slower, more exact).
        tracker: weights of a point tracker, for systems that take one; else optical flow.
        precision: of the matrix products of networks; auto: half where that is fast.
        seed: of all random choices.
        overwrite: replace the scene that is at OUT.
        sheet: write a picture of frames, depth, masks and tracks to this PNG.
        view: then look at the scene in the browser, until Ctrl-C.
        json: print one JSON object instead of words.
        quiet: show no progress.
    """
    target = out or default_out(source)
    with progress(quiet=quiet) as listener:
        from worldline.systems import reconstruct as make

        scene = make(
            source,
            out=target,
            system=system,
            start=start,
            end=end,
            stride=stride,
            max_frames=max_frames,
            size=size,
            focal=focal,
            intrinsics=None if intrinsics is None else parse_intrinsics(intrinsics),
            cameras_from=cameras_from,
            depth_from=depth_from,
            masks_from=masks_from,
            weights=weights,
            device=device,
            cameras=cameras,
            tracker=tracker,
            precision=precision,
            seed=seed,
            overwrite=overwrite,
            listener=listener,
        )
        if sheet is not None:
            from worldline.io.sheet import write_sheet

            with shown(listener, "picture"):
                write_sheet(scene, sheet)
    from worldline.cli.summary import look_lines, scene_facts, summary_lines

    facts = scene_facts(scene, target) | {"sheet": None if sheet is None else str(sheet)}
    if json:
        print_json(facts)
    else:
        console().print("\n".join([*summary_lines(facts), *look_lines(target, sheet)]))
    if view:
        from worldline.cli.view import serve, tell_url

        serve(lambda: [scene], tell=errors().print if json else tell_url)


def default_out(source: str) -> Path:
    """The source's name with .scene, in the current directory; for a glob, its folder's name."""
    path = Path(source)
    if set(path.name) & set("*?["):
        path = path.parent
    return Path(f"{path.stem or path.resolve().name or 'clip'}.scene")


def parse_intrinsics(text: str) -> str | tuple[float, ...]:
    """Numbers if the text is some, separated by commas; else it is a file's path."""
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        return text
