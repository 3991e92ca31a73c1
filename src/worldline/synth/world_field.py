"""The motion of a synthetic clip: a world's parameters answer for any pixel at any time.

Nothing is sampled or interpolated: a ray through the pixel names a surface point, the world says
where that point is, and another ray whether it is seen there. A stored field is the parameters of
solids, motions and cameras, a few kilobytes; looks and lights are left out.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.geometry.projection import pixel_grid
from worldline.scene.motion import Motion, register
from worldline.synth import chunks, trees
from worldline.synth.camera import TILE, Cameras, rays
from worldline.synth.cast import Rays, cast
from worldline.synth.deformation import Deformation
from worldline.synth.fields import Blend, Terrain
from worldline.synth.materials import Painted
from worldline.synth.motion import Curves, Joints
from worldline.synth.shapes import Kind
from worldline.synth.truth import visible
from worldline.synth.world import Light, World

RAYS = 256  # of a tile of chosen pixels
_PARTS: dict[str, type] = {
    "blends": Blend,
    "bodies": Blend,
    "deformation": Deformation,
    "terrains": Terrain,
}


@dataclass(frozen=True, eq=False)
class WorldField:
    """The exact motion of one world's points (see ``MotionField``).

    ``world`` and ``cameras`` are batches of one, on the CPU, in the engine's axes; answers are in
    the scene's, which are those of the first camera.
    """

    world: World
    cameras: Cameras
    kind: ClassVar[str] = "world"

    @classmethod
    def of(cls, world: World, cameras: Cameras) -> "WorldField":
        """The field of a clip's world and cameras, wherever those are."""
        return cls(_bare(trees.to(world, "cpu")), trees.to(cameras, "cpu"))

    def query(
        self,
        source: int,
        at: Float[np.ndarray, " T"],
        pixels: Float[np.ndarray, "M 2"] | None = None,
    ) -> Motion:
        """See MotionField.query. Visibility is a ray test.

        Between frames, that is from the nearest frame's camera. Pixels that see nothing do not
        move, with confidence 0.
        """
        width, height = self.cameras.size
        shape = (height, width) if pixels is None else (len(pixels),)
        grid = pixel_grid(height, width, dtype=torch.float64).reshape(-1, 2)
        asked = grid if pixels is None else torch.from_numpy(np.asarray(pixels, np.float64))
        instance, material = name_pixels(self.world, self.cameras, source, asked)
        home = self._positions(instance, material, self.cameras.times[0, source])
        full = (len(at), *shape)
        displacement = np.zeros((len(at), len(asked), 3), np.float32)
        seen = np.zeros((len(at), len(asked)), bool)
        for t, position in enumerate(at.tolist()):
            # at home it is neither moved nor hidden, whatever the last bits say
            if position == source:
                seen[t] = (instance >= 0).numpy()
                continue
            moved, seen[t] = self._moved(instance, material, position)
            displacement[t] = self._in_scene(moved - home).nan_to_num().numpy()
        certain = np.broadcast_to((instance >= 0).float().numpy(), seen.shape)
        return Motion(
            displacement.reshape(*full, 3), certain.reshape(full).copy(), seen.reshape(full)
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """The parameters of the world and its cameras."""
        parts = {"half": self.world.half, "active": self.world.active}
        joints = self.world.joints
        parts |= {name: getattr(joints, name) for name in ("parent", "before", "after")}
        parts |= _named("curves", joints.curves)
        for name in _PARTS:
            if (value := getattr(self.world, name)) is not None:
                parts |= _named(name, value)
        for name in ("world_from_camera", "intrinsics", "times"):
            parts[name] = getattr(self.cameras, name)
        arrays = {name: value.contiguous().numpy() for name, value in parts.items()}
        kinds = " ".join(kind.value for kind in self.world.kinds)
        arrays["kinds"] = np.frombuffer(kinds.encode(), np.uint8)
        arrays["size"] = np.array(self.cameras.size, np.int64)
        return arrays

    def _moved(
        self, instance: Int[Tensor, " M"], material: Float[Tensor, "M 3"], position: float
    ) -> tuple[Float[Tensor, "M 3"], Bool[np.ndarray, " M"]]:
        """Where named points are at a frame position, and whether its nearest camera sees them."""
        frames = np.arange(self.cameras.times.shape[1])
        time = torch.tensor(np.interp(position, frames, self.cameras.times[0].numpy()))
        moved = self._positions(instance, material, time)
        nearest = self.cameras.frames([round(position)])
        camera = dataclasses.replace(nearest, times=time.to(nearest.times).reshape(1, 1))
        if not len(moved):
            return moved, np.zeros(0, bool)
        return moved, visible(self.world, camera, moved[None])[0, 0].numpy()

    def _positions(
        self, instance: Int[Tensor, " M"], material: Float[Tensor, "M 3"], time: Tensor
    ) -> Float[Tensor, "M 3"]:
        own = material.to(self.world.half)
        return self.world.at(instance[None], own[None], time.reshape(1, 1))[0, 0]

    def _in_scene(self, vectors: Float[Tensor, "M 3"]) -> Float[Tensor, "M 3"]:
        """Directions of the engine's axes in those of the first camera."""
        return (vectors @ self.cameras.world_from_camera[0, 0, :3, :3].to(vectors)).float()


def name_pixels(
    world: World, cameras: Cameras, frame: int, pixels: Float[Tensor, "M 2"]
) -> tuple[Int[Tensor, " M"], Float[Tensor, "M 3"]]:
    """The names (instance, place in the rest pose) of what pixels (x, y) of one frame see."""
    count = len(pixels)
    if not count:
        return torch.zeros(0, dtype=torch.long), torch.zeros(0, 3)
    order = _by_tile(pixels)
    order = torch.cat([order, order[-1:].expand(-count % RAYS)])  # the last tile is filled up
    camera = cameras.frames([frame])
    snapshot = world.snapshot(camera.times)
    pose, lens = camera.world_from_camera[0, 0].float(), camera.intrinsics[0, 0].float()
    tiles = pixels[order].float().reshape(-1, RAYS, 2).mT

    def work(part: slice) -> tuple[Tensor, Tensor]:
        own = tiles[part]
        ahead = pose[:3, :3] @ rays(own, lens.expand(len(own), 3, 3))
        frame = torch.zeros(len(own), dtype=torch.long, device=own.device)
        hits = cast(snapshot, Rays(frame, pose[:3, 3:].expand(len(own), 3, 1), ahead))
        return hits.instance, hits.material.permute(1, 2, 0)

    parts = list(chunks.slices(len(tiles), RAYS, world.device))
    pieces = chunks.each(work, parts, world.device)
    instance, material = (torch.cat(column) for column in zip(*pieces, strict=True))
    names = instance.new_zeros(count), material.new_zeros(count, 3)
    names[0][order], names[1][order] = instance.flatten(), material.flatten(0, 1)
    return names


def _by_tile(pixels: Float[Tensor, "M 2"]) -> Int[Tensor, " M"]:
    """An order in which neighbours in the list are neighbours in the picture."""
    x, y = (pixels / pixels.new_tensor(TILE)).floor().long().unbind(dim=1)
    return (y * (int(x.max()) + 1) + x).argsort(stable=True)


@register("world")
def _load_world(arrays: dict[str, np.ndarray]) -> WorldField:
    """The field that ``WorldField.arrays`` describe."""
    parts = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    text = arrays["kinds"].tobytes().decode()
    made: dict[str, Any] = {
        name: _built(kind, name, parts)
        for name, kind in _PARTS.items()
        if any(key.startswith(f"{name}.") for key in parts)
    }
    joints = (parts[name] for name in ("parent", "before", "after"))
    world = World(
        kinds=tuple(Kind(name) for name in text.split()),
        half=parts["half"],
        active=parts["active"],
        joints=Joints.of(_built(Curves, "curves", parts), *joints),
        look=Painted(()),
        light=_dark(),
        **made,
    )
    width, height = arrays["size"].tolist()
    poses, lenses, times = (parts[name] for name in ("world_from_camera", "intrinsics", "times"))
    return WorldField(world, Cameras(poses, lenses, (width, height), times))


def _bare(world: World) -> World:
    """The world without what only colours it."""
    return dataclasses.replace(world, look=Painted(()), light=_dark())


def _dark() -> Light:
    black = (0.0, 0.0, 0.0)
    return Light.of((0.0, 0.0, 1.0), black, black, black)


def _fields(kind: type) -> list[str]:
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return list(kind._fields)  # type: ignore[attr-defined] # else it is a named tuple


def _named(prefix: str, value: Any) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": getattr(value, name) for name in _fields(type(value))}


def _built(kind: type, prefix: str, parts: dict[str, Tensor]) -> Any:
    return kind(*(parts[f"{prefix}.{name}"] for name in _fields(kind)))
