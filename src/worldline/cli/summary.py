"""What is told of a scene: facts for machines, and the same facts in words."""

from pathlib import Path
from typing import Any

import numpy as np

from worldline.scene import Scene

_CAMERA_MOTIONS = {
    "free": "moved freely",
    "rotation": "only turned: depth cannot be measured from parallax",
    "still": "stood still: depth cannot be measured from parallax",
    "unknown": "motion unknown: there is only one frame",
}


def scene_facts(scene: Scene, path: Path) -> dict[str, Any]:
    """Facts of a scene, as plain values; lengths are in scene units, pixels the original's."""
    origin = scene.provenance
    known, measured, moving = _shares(scene)
    positions = scene.cameras.world_from_camera[:, :3, 3]
    scale = scene.original_size[0] / scene.size[0]
    return {
        "scene": str(path),
        "source": origin.get("source"),
        "system": origin.get("system"),
        "kept": len(scene),
        "total": origin.get("total", len(scene)),
        "kept_line": origin.get("kept_line", f"{len(scene)} frames"),
        "size": list(scene.size),
        "original_size": list(scene.original_size),
        "seconds": [float(scene.times[0]), float(scene.times[-1])],
        "camera": scene.cameras.motion,
        "registered": int(scene.cameras.registered.sum()),
        "focal": float(np.median(scene.original_intrinsics[:, 0, 0])),
        "focal_sigma": float(np.median(scene.cameras.focal_sigma) * scale),
        "intrinsics_source": origin.get("intrinsics_source", "unknown"),
        "path_length": float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum()),
        "metric": scene.metric,
        "depth_known": known,
        "measured": measured,
        "moving": moving,
        "motion": scene.motion.kind,
        "stages": origin.get("stages", []),
        "peak_memory": origin.get("peak_memory"),
        "warnings": list(origin.get("warnings", [])),
        "provenance": origin,
    }


def _shares(scene: Scene) -> tuple[float, float, float]:
    """Shares of the pixels whose depth is known, is measured, and which move; frame by frame."""
    shares = [
        (
            float(np.isfinite(scene.depth[i]).mean()),
            float((scene.confidence[i] > 0).mean()),
            float((scene.dynamic[i] > 0.5).mean()),
        )
        for i in range(len(scene))
    ]
    known, measured, moving = np.mean(shares, axis=0)
    return float(known), float(measured), float(moving)


def summary_lines(facts: dict[str, Any]) -> list[str]:
    """The facts in words."""
    unit = "m" if facts["metric"] else "scene units"
    lines = [
        f"{facts['source'] or 'scene'}: {facts['kept_line']}",
        f"camera    {_CAMERA_MOTIONS[facts['camera']]}; {facts['registered']} of {facts['kept']} "
        f"frames registered; focal length {_focal(facts)}; path {facts['path_length']:.3g} {unit}",
        f"depth     {_depth(facts)}",
        f"motion    {facts['moving']:.0%} of the pixels move",
    ]
    if facts["stages"]:
        lines.append(f"time      {_times(facts['stages'])}")
    if facts["peak_memory"]:
        lines.append(f"memory    {facts['peak_memory'] / 1e9:.2f} GB at most")
    lines += [f"note      {warning}" for warning in facts["warnings"]]
    return lines


def look_lines(path: Path, sheet: Path | None) -> list[str]:
    """Where the scene is and how to look at it."""
    return [
        f"scene     {path}",
        f"report    {path / 'report.html'}",
        *([] if sheet is None else [f"picture   {sheet}"]),
        f"look      worldline view {path}",
        f"          worldline info {path}",
        f"          python -c 'import worldline; print(worldline.load_scene(\"{path}\"))'",
    ]


def _focal(facts: dict[str, Any]) -> str:
    sigma = facts["focal_sigma"]
    if not np.isfinite(sigma):
        return f"{facts['focal']:.0f} px (a guess)"
    if sigma == 0:
        return f"{facts['focal']:.0f} px ({facts['intrinsics_source']})"
    return f"{facts['focal']:.0f} +- {sigma:.0f} px"


def _depth(facts: dict[str, Any]) -> str:
    if not facts["depth_known"]:
        return "unknown: the frames do not determine it"
    unknown = 1 - facts["depth_known"]
    filled = facts["depth_known"] - facts["measured"]
    rest = f", {unknown:.0%} unknown" if unknown > 0 else ""
    return f"measured on {facts['measured']:.0%} of the pixels, filled in on {filled:.0%}{rest}"


def _times(stages: list[dict[str, Any]]) -> str:
    parts = [f"{s['name']} {s['seconds']:.1f}{' (kept)' if s['resumed'] else ''}" for s in stages]
    return f"{sum(s['seconds'] for s in stages):.1f} s: {', '.join(parts)}"
