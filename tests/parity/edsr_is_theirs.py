"""Compares the EdsrModel of written_networks.py with super-image's own: edsr_is_theirs.py FOLDER

FOLDER is what published.py unpacked.
"""

import torchvision_operators  # noqa: F401, isort: skip

import sys
import types

import torch

from written_networks import EdsrModel

sys.path.insert(0, sys.argv[1])
sys.modules["h5py"] = types.ModuleType("h5py")  # which reads its data sets, not a network
import super_image  # noqa: E402


def compare(**options):
    torch.manual_seed(3)
    ours = EdsrModel(**options)
    torch.manual_seed(3)
    theirs = super_image.EdsrModel(super_image.EdsrConfig(**options))
    assert list(ours.state_dict()) == list(theirs.state_dict()), options
    for (key, value), other in zip(ours.state_dict().items(), theirs.state_dict().values()):
        assert torch.equal(value, other), (options, key)
    x = torch.randn(2, options.get("n_colors", 3), 9, 8)
    results = []
    for network in (ours, theirs):
        network.zero_grad()
        y = network(x)
        y.backward(torch.linspace(-1, 1, y.numel()).view_as(y))
        results.append((y, *(p.grad for p in network.parameters())))
    for one, other in zip(*results, strict=True):
        assert one is other is None or torch.equal(one, other), options


torch.set_num_threads(1)
for scale in (1, 2, 3, 4, 8):
    compare(scale=scale)
compare(scale=2, n_resblocks=3, n_feats=8, res_scale=0.1, rgb_range=1.5, rgb_mean=(0.1, 0.2, 0.3),
        rgb_std=(2.0, 3.0, 0.7))
compare(scale=2, n_resblocks=1, n_feats=8, n_colors=4, no_upsampling=True)
print("the same")
