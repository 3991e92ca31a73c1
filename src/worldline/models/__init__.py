"""The networks: one file each, parameter for parameter compatible with the published weights."""
