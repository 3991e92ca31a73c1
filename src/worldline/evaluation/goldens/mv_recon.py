"""Accuracy, completion and normal consistency of point clouds, with and without ICP."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from worldline.evaluation.metrics.clouds import Cloud
from worldline.evaluation.metrics.surfaces import PointErrors, SurfaceErrors, point_errors

EITHER_SIGN = ("out.pred_normals", "out.gt_normals")


def tolerance(path: tuple[str, ...]) -> float:
    """Relative: ICP and estimated normals may differ in the order of their sums."""
    return 1e-5 if "no_icp" in path else 1e-3


def numbers(
    tensors: Mapping[str, np.ndarray], params: Mapping[str, Any], expected: Any
) -> dict[str, Any]:
    """The parts that are asked: ``no_icp`` of the points, ``icp`` with normals and the motion."""
    estimate, truth = (_points(tensors[name]) for name in ("pred", "gt"))
    answer: dict[str, Any] = {}
    if "no_icp" in expected:
        errors = point_errors(estimate, truth, normals=False)
        answer["no_icp"] = _asked(_distances(errors, expected["no_icp"]), expected["no_icp"])
    if "icp" in expected:
        threshold = float(params.get("icp_threshold", 0.1))
        errors = point_errors(estimate, truth, threshold, published=True)
        answer["icp"] = _asked(
            _distances(errors, expected["icp"]) | _normals(errors.summary()) | _motion(errors),
            expected["icp"],
        )
        if errors.registration is not None:
            moved = errors.registration.points(estimate)
            answer["out.pred_after_icp"] = moved
            answer["out.pred_normals"], answer["out.gt_normals"] = map(_directions, (moved, truth))
    return answer


def _directions(points: np.ndarray) -> np.ndarray:
    """Normals of either sign; where neighbours span no plane, Open3D's z axis."""
    normals = Cloud(points).normals
    return np.where(np.isnan(normals), [0.0, 0.0, 1.0], normals)


def _points(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, np.float64).reshape(-1, 3)


def _asked(numbers: dict[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    return {name: numbers[name] for name in expected}


def _distances(errors: PointErrors, expected: Mapping[str, Any]) -> dict[str, float]:
    whole = errors.summary()
    ratios = [name for name in expected if name.startswith("comp_ratio_")]
    return {
        "acc_mean": whole.accuracy,
        "acc_median": whole.accuracy_median,
        "comp_mean": whole.completion,
        "comp_median": whole.completion_median,
    } | {name: errors.summary(ratio_distance=_hundredths(name)).completion_ratio for name in ratios}


def _hundredths(name: str) -> float:
    return int(name.removeprefix("comp_ratio_")) / 100


def _normals(errors: SurfaceErrors) -> dict[str, float]:
    return {
        "nc1_mean": errors.normals_accuracy,
        "nc1_median": errors.normals_accuracy_median,
        "nc2_mean": errors.normals_completion,
        "nc2_median": errors.normals_completion_median,
        "nc_mean": errors.normal_consistency,
        "nc_median": errors.normal_consistency_median,
    }


def _motion(errors: PointErrors) -> dict[str, Any]:
    found = errors.registration
    if found is None:
        return {}
    return {
        "transformation": found.transform.tolist(),
        "fitness": found.fitness,
        "inlier_rmse": found.inlier_rmse,
    }
