"""Golden vectors of networks: builds the instance a file describes and compares all it computes.

``python -m worldline.models.golden FILE...``. A file ``<name>.json`` says the network and its
sizes; the ``.safetensors`` beside it holds weights ``w.*``, inputs ``in.*``, expected outputs
``out.*`` and activations ``mid.*`` (``@callN``: the N-th further call of the same module).
``worldline.models.golden.<network>.run`` computes all of them.
"""
