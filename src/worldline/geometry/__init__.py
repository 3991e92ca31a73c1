"""Pure functions of cameras and points: projection, alignment, epipolar geometry, triangulation."""
