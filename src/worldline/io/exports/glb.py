"""A scene as one animated glTF 2.0 binary, which Blender and web viewers play."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from pygltflib import (
    ARRAY_BUFFER,
    FLOAT,
    GLTF2,
    POINTS,
    SCALAR,
    UNSIGNED_SHORT,
    VEC3,
    VEC4,
    Accessor,
    Animation,
    AnimationChannel,
    AnimationChannelTarget,
    AnimationSampler,
    Asset,
    Attributes,
    Buffer,
    BufferView,
    Camera,
    Material,
    Mesh,
    Node,
    Perspective,
    Primitive,
)
from pygltflib import Scene as GltfScene

from worldline.io.exports.clouds import (
    MovingPoints,
    clip_planes,
    linear_colours,
    sample_tracks,
    split_points,
)
from worldline.io.exports.registry import Choices
from worldline.io.exports.y_up import points_y_up, poses_y_up, quaternions
from worldline.scene import Scene, Tracks
from worldline.scene.store import write_bytes

_COMPONENTS = {1: SCALAR, 3: VEC3, 4: VEC4}
_CODES = {np.dtype(np.float32): FLOAT, np.dtype(np.uint16): UNSIGNED_SHORT}


def export_glb(scene: Scene, path: Path, choices: Choices) -> None:
    """Write still points once, moving points frame by frame, the camera and tracks, animated.

    World and camera axes are glTF's: y up, -z forward. Lengths are scene units. Times are the
    clip's, from 0 on if they are negative. Each frame's moving points are a node of scale 1 at
    its own time and 0 at others; tracks are empty nodes. glTF knows no principal point off the
    picture's middle and no zoom: the camera has the median focal length, and the exact
    intrinsics [N,3,3], in pixels of the input, are in the camera node's extras.

    Raises StorageError when the disk refuses.
    """
    still, moving = split_points(scene, choices)
    writer = _Writer(scene.times - min(scene.times[0], 0.0))
    writer.add_camera(scene)
    writer.add_points("points", still.xyz, still.rgb)
    writer.add_moving(moving)
    writer.add_tracks(sample_tracks(scene, choices))
    write_bytes(path, writer.data())


class _Writer:
    """A glTF file that grows node by node, with one animation over the clip's times."""

    def __init__(self, times: Float64[np.ndarray, " N"]) -> None:
        self.gltf = GLTF2(
            asset=Asset(version="2.0", generator="worldline"),
            extensionsUsed=["KHR_materials_unlit"],
            materials=[Material(name="unlit", extensions={"KHR_materials_unlit": {}})],
            animations=[Animation(name="clip")],
            scenes=[GltfScene(nodes=[])],
            scene=0,
        )
        self.blob = bytearray()
        self.times = times.astype(np.float32)
        self.all_times = self._store(self.times)

    def add_camera(self, scene: Scene) -> None:
        """The camera, its pose animated."""
        (width, height), intrinsics = scene.size, scene.cameras.intrinsics
        fx, fy = np.median(intrinsics[:, [0, 1], [0, 1]], axis=0).tolist()
        near, far = clip_planes(scene)
        lens = Perspective(
            yfov=2 * float(np.arctan2(height / 2, fy)),
            aspectRatio=(width / fx) / (height / fy),
            znear=near,
            zfar=far,
        )
        self.gltf.cameras.append(Camera(type="perspective", perspective=lens, name="camera"))
        poses = poses_y_up(scene.cameras.world_from_camera)
        places, turns = poses[:, :3, 3].astype(np.float32), quaternions(poses).astype(np.float32)
        node = self._add_node(
            name="camera",
            camera=0,
            translation=places[0].tolist(),
            rotation=turns[0].tolist(),
            extras={
                "intrinsics": scene.original_intrinsics.tolist(),
                "image_size": list(scene.original_size),
            },
        )
        self._animate(node, "translation", self.all_times, self._store(places))
        self._animate(node, "rotation", self.all_times, self._store(turns))

    def add_points(
        self,
        name: str,
        xyz: Float32[np.ndarray, "P 3"],
        rgb: UInt8[np.ndarray, "P 3"],
        scale: float = 1.0,
        parent: Node | None = None,
    ) -> int | None:
        """A node of coloured points; None if there are none, which glTF could not hold."""
        if len(xyz) == 0:
            return None
        opaque = np.append(linear_colours(rgb), np.ones((len(rgb), 1), np.float32), axis=1)
        # 16 bits, since 8 would not tell dark colours apart in linear light.
        colours = np.rint(opaque * 65535).astype(np.uint16)
        attributes = Attributes(
            POSITION=self._store(points_y_up(xyz), vertices=True),
            COLOR_0=self._store(colours, vertices=True, normalized=True),
        )
        points = Primitive(attributes=attributes, mode=POINTS, material=0)
        self.gltf.meshes.append(Mesh(name=name, primitives=[points]))
        mesh = len(self.gltf.meshes) - 1
        return self._add_node(parent, name=name, mesh=mesh, scale=[scale] * 3)

    def add_moving(self, moving: MovingPoints) -> None:
        """Each frame's moving points, shown from its time to the next one's."""
        if not len(moving):
            return
        parent = self._parent("moving")
        for j in range(len(self.times)):
            node = self.add_points(
                f"moving_{j:05d}", moving.xyz[j], moving.rgb[j], float(j == 0), parent
            )
            if node is None:
                continue
            keys = slice(max(0, j - 1), j + 2)
            on = np.arange(len(self.times))[keys] == j
            self._animate(node, "scale", self._store(self.times[keys]), self._on(on), "STEP")

    def add_tracks(self, tracks: Tracks) -> None:
        """Each track as an empty node that moves."""
        if len(tracks) == 0:
            return
        parent = self._parent("tracks")
        for m, xyz in enumerate(points_y_up(tracks.xyz)):
            node = self._add_node(parent, name=f"track_{m:03d}", translation=xyz[0].tolist())
            self._animate(node, "translation", self.all_times, self._store(xyz))

    def data(self) -> bytes:
        """The whole file."""
        self.gltf.buffers = [Buffer(byteLength=len(self.blob))]
        self.gltf.set_binary_blob(bytes(self.blob))
        return b"".join(self.gltf.save_to_bytes())

    def _parent(self, name: str) -> Node:
        return self.gltf.nodes[self._add_node(name=name, children=[])]

    def _add_node(self, parent: Node | None = None, **fields: object) -> int:
        self.gltf.nodes.append(Node(**fields))
        node = len(self.gltf.nodes) - 1
        (self.gltf.scenes[0].nodes if parent is None else parent.children).append(node)
        return node

    def _animate(
        self, node: int, what: str, times: int, values: int, blending: str = "LINEAR"
    ) -> None:
        clip = self.gltf.animations[0]
        sampler = AnimationSampler(input=times, output=values, interpolation=blending)
        clip.samplers.append(sampler)
        target = AnimationChannelTarget(node=node, path=what)
        clip.channels.append(AnimationChannel(sampler=len(clip.samplers) - 1, target=target))

    def _on(self, on: Bool[np.ndarray, " K"]) -> int:
        return self._store(np.repeat(on[:, None], 3, axis=1).astype(np.float32))

    def _store(
        self, values: np.ndarray, *, vertices: bool = False, normalized: bool = False
    ) -> int:
        """The accessor of an array [K] or [K,C], appended to the buffer."""
        rows = values.reshape(len(values), -1)
        start, data = len(self.blob), np.ascontiguousarray(rows).tobytes()
        self.blob += data  # float32 and four uint16: each array starts at a multiple of 4 bytes
        target = ARRAY_BUFFER if vertices else None
        self.gltf.bufferViews.append(
            BufferView(buffer=0, byteOffset=start, byteLength=len(data), target=target)
        )
        self.gltf.accessors.append(
            Accessor(
                bufferView=len(self.gltf.bufferViews) - 1,
                componentType=_CODES[values.dtype],
                count=len(rows),
                type=_COMPONENTS[rows.shape[1]],
                normalized=normalized,
                min=rows.min(axis=0).tolist(),
                max=rows.max(axis=0).tolist(),
            )
        )
        return len(self.gltf.accessors) - 1
