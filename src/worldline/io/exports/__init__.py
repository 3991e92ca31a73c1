"""Scenes out: one file for each format, all reached through `export`."""

from worldline.io.exports.registry import FORMATS, Choices, Format, export

__all__ = ["FORMATS", "Choices", "Format", "export"]
