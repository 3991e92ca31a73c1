"""The blocks that the networks share: attention, positions, transformers, heads.

Every attention of every network goes through `nn.attention.attend`.
"""
