"""Sizes of networks that tests build: the same parts as the published ones, in milliseconds."""

from worldline.models.complet4r import Complet4rConfig
from worldline.models.cotracker3 import CoTracker3Config
from worldline.models.da3 import DA3Config, DA3MonoConfig
from worldline.models.fourrc import FourRCConfig
from worldline.models.vdpm import VdpmConfig
from worldline.models.vggt import VggtConfig

FOUR_RC = FourRCConfig(
    48, 8, 3, 4, (4, 5, 6, 7), 16, (8, 8, 16, 16), motion_depth=2, motion_heads=2
)
DA3 = DA3Config(48, 8, 3, 4, (4, 5, 6, 7), 16, (8, 8, 16, 16), camera_depth=1, camera_heads=3)
DA3_MONO = DA3MonoConfig(48, 4, 3, (0, 1, 2, 3), 16, (8, 8, 16, 16))

AGGREGATOR = {
    "dim": 32,
    "depth": 4,
    "heads": 2,
    "dino_depth": 1,
    "dino_heads": 2,
    "levels": (0, 1, 2, 3),
    "features": 16,
    "channels": (8, 8, 16, 16),
    "camera_depth": 1,
    "camera_heads": 2,
    "image": 42,
}
TRACK_HEAD = {
    "track_features": 16,
    "track_hidden": 16,
    "track_heads": 2,
    "track_depth": 1,
    "track_virtual": 4,
    "track_levels": 2,
    "track_radius": 1,
    "track_iterations": 2,
}
VGGT = VggtConfig(**AGGREGATOR, **TRACK_HEAD)
VDPM = VdpmConfig(**AGGREGATOR, decoder_depth=1, decoder_heads=2)
COMPLET4R = Complet4rConfig(**AGGREGATOR)

COTRACKER3 = CoTracker3Config(
    window=6,
    resolution=(32, 48),
    latent=8,
    levels=2,
    radius=1,
    correlation_hidden=8,
    correlation_width=8,
    width=16,
    heads=2,
    mlp_ratio=2.0,
    time_depth=2,
    space_depth=1,
    virtual_tracks=3,
)
