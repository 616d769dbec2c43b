"""A module with instances of every class in the table of those that C++ has, each called: a row without one fails."""

import torch
import torch.nn.functional as F
from torch import nn

from convkit.layers import TABLE

# What the children are called with, of x [N, 4, 96]. An in-place one gets memory of its own.
VIEWS = {
    "rows": lambda x: x[:, :, 0],                                   # [N, 4]
    "others": lambda x: x[:, :, 1],
    "signal": lambda x: x,                                          # [N, 4, 96]
    "image": lambda x: x.view(x.shape[0], 4, 8, 12),
    "volume": lambda x: x.view(x.shape[0], 4, 4, 4, 6),
    "tokens": lambda x: x[:, :, :7].transpose(1, 2),                # [N, 7, 4]
    "unfolded": lambda x: x.view(x.shape[0], 16, 24),
    "fresh": lambda x: x * 1,
    "maxima": lambda x: F.max_pool2d(VIEWS["image"](x), 2, return_indices=True)[0],
    "places": lambda x: F.max_pool2d(VIEWS["image"](x), 2, return_indices=True)[1],
    "indices": lambda x: (x[:, 0, :5] * 3).abs().long().clamp(0, 9),
}
ALONG = {1: "signal", 2: "image", 3: "volume"}


def by_dimensions(name, *options):
    """Instances for 1, 2 and 3 dimensions, with these options: (arguments, keywords), or what gives them."""
    return {getattr(nn, name.format(dims)): [(ALONG[dims], args, kwargs) for args, kwargs in
                                             (option(dims) if callable(option) else option for option in options)]
            for dims in (1, 2, 3)}


def of_one_kind(view, classes):
    return {kind: [(view, args, kwargs) for args, kwargs in options] for kind, options in classes.items()}


CASES_OF = {
    **by_dimensions("Conv{}d", ((4, 6, 3), {"padding": 1}), ((4, 4, 2), {"stride": 2, "groups": 2, "bias": False}),
                    ((4, 6, 3), {"dilation": 2, "padding": "same", "padding_mode": "circular"})),
    **by_dimensions("ConvTranspose{}d", ((4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
                    ((4, 4, 2), {"groups": 2, "bias": False, "dilation": 2})),
    **by_dimensions("BatchNorm{}d", ((4,), {}), ((4,), {"eps": 1e-3, "momentum": None}), ((4,), {"affine": False}),
                    ((4,), {"track_running_stats": False})),
    **by_dimensions("InstanceNorm{}d", ((4,), {}), ((4,), {"affine": True, "track_running_stats": True})),
    **by_dimensions("MaxPool{}d", ((2,), {}), ((3,), {"stride": 2, "padding": 1, "ceil_mode": True}),
                    ((2,), {"dilation": 2, "stride": 1})),
    **by_dimensions("AvgPool{}d", ((2,), {}), ((3,), {"stride": 2, "padding": 1, "count_include_pad": False})),
    **by_dimensions("AdaptiveAvgPool{}d", ((1,), {}), lambda dims: ((tuple(range(2, 2 + dims)),), {})),
    **by_dimensions("AdaptiveMaxPool{}d", ((1,), {}), lambda dims: ((tuple(range(2, 2 + dims)),), {})),
    **by_dimensions("LPPool{}d", ((2, 2), {}), ((2, 3), {"stride": 1, "ceil_mode": True})),
    **by_dimensions("ZeroPad{}d", ((2,), {}), lambda dims: ((tuple(range(2 * dims)),), {})),
    **by_dimensions("ConstantPad{}d", ((2, 0.5), {}), lambda dims: ((tuple(range(2 * dims)), -3), {})),
    **by_dimensions("ReflectionPad{}d", ((2,), {}), lambda dims: (((1, 2) * dims,), {})),
    **by_dimensions("ReplicationPad{}d", ((2,), {}), lambda dims: (((1, 2) * dims,), {})),
    **of_one_kind("fresh", {
        nn.ReLU: [((), {}), ((True,), {})], nn.ReLU6: [((), {}), ((True,), {})], nn.SELU: [((), {}), ((True,), {})],
        nn.LeakyReLU: [((0.2,), {}), ((), {"inplace": True})], nn.ELU: [((0.5,), {}), ((), {"inplace": True})],
        nn.CELU: [((0.5,), {}), ((), {"inplace": True})], nn.Hardtanh: [((-0.5, 0.7), {}), ((), {"inplace": True})],
        nn.Threshold: [((0.1, -1), {}), ((0.2, 3), {"inplace": True})],
        nn.RReLU: [((), {}), ((0.2, 0.5), {"inplace": True})],
        nn.Hardswish: [((), {}), ((True,), {})], nn.Hardsigmoid: [((), {}), ((True,), {})],
        nn.SiLU: [((), {}), ((True,), {})], nn.Mish: [((), {}), ((True,), {})], nn.GELU: [((), {}), (("tanh",), {})],
        nn.Sigmoid: [((), {})], nn.Tanh: [((), {})], nn.LogSigmoid: [((), {})], nn.Softsign: [((), {})],
        nn.Tanhshrink: [((), {})], nn.Hardshrink: [((0.3,), {})], nn.Softshrink: [((0.3,), {})],
        nn.Softplus: [((), {}), ((2, 1), {})], nn.GLU: [((), {}), ((1,), {})], nn.PReLU: [((), {}), ((4, 0.1), {})],
        nn.Softmax: [((-1,), {})], nn.LogSoftmax: [((1,), {})], nn.Softmin: [((2,), {})],
        nn.Dropout: [((0.3,), {}), ((), {"inplace": True})], nn.AlphaDropout: [((0.3,), {})], nn.Identity: [((), {})],
        nn.Flatten: [((), {}), ((0, 1), {})],
    }),
    **of_one_kind("image", {
        nn.Softmax2d: [((), {})], nn.Dropout2d: [((0.3,), {})], nn.FeatureAlphaDropout: [((0.3,), {})],
        nn.PixelShuffle: [((2,), {})], nn.PixelUnshuffle: [((2,), {})],
        nn.LocalResponseNorm: [((2,), {}), ((3, 1e-2, 0.5, 2), {})],
        nn.CrossMapLRN2d: [((3,), {}), ((5, 1e-2, 0.5, 2), {})],
        nn.GroupNorm: [((2, 4), {}), ((1, 4), {"eps": 1e-3, "affine": False})],
        nn.LayerNorm: [((12,), {}), (((8, 12),), {"eps": 1e-3, "elementwise_affine": False})],
        nn.Unfold: [((2,), {}), (((2, 3),), {"dilation": 2, "padding": 1, "stride": (1, 2)})],
    }),
    nn.AdaptiveAvgPool2d: [("image", (1,), {}), ("image", ((2, 3),), {}), ("image", ((None, 4),), {})],
    nn.MaxUnpool2d: [(("maxima", "places"), (2,), {}), (("maxima", "places"), ((2, 3), 2), {})],
    nn.Upsample: [("image", (None, 2), {}), ("image", (None, (1.5, 2.0), "nearest-exact"), {}),
                  ("signal", (50,), {"mode": "area"}), ("volume", (None, 2, "trilinear", True), {}),
                  ("signal", (None, 1.5), {"mode": "linear", "recompute_scale_factor": True}),
                  ("image", ((9, 7), None, "bicubic"), {})],
    nn.UpsamplingNearest2d: [("image", (), {"scale_factor": 2}), ("image", (), {"size": (5, 6)})],
    nn.UpsamplingBilinear2d: [("image", (), {"scale_factor": 3}), ("image", (7,), {})],
    nn.Dropout3d: [("volume", (0.3,), {})],
    nn.Fold: [("unfolded", ((5, 7), 2), {}), ("unfolded", ((5, 6), 2), {"padding": 1, "stride": (1, 2)})],
    nn.Linear: [("rows", (4, 6), {}), ("tokens", (4, 6), {"bias": False}), ("tokens", (4, 6), {})],
    nn.Embedding: [("indices", (10, 4), {}), ("indices", (10, 3), {"padding_idx": 2})],
    nn.Unflatten: [("rows", (1, (2, 2)), {})],
    nn.Bilinear: [(("rows", "others"), (4, 4, 3), {}), (("rows", "others"), (4, 4, 3), {"bias": False})],
    nn.CosineSimilarity: [(("rows", "others"), (), {}), (("image", "image"), (2, 1e-3), {})],
    nn.PairwiseDistance: [(("rows", "others"), (), {}), (("rows", "others"), (1, 1e-3, True), {})],
    nn.MultiheadAttention: [(("tokens", "tokens", "tokens"), (4, 2), {"batch_first": True, "dropout": 0.2})],
    nn.RNNCell: [("rows", (4, 3), {}), ("rows", (4, 3), {"nonlinearity": "relu", "bias": False})],
    nn.LSTMCell: [("rows", (4, 3), {})], nn.GRUCell: [("rows", (4, 3), {}), ("rows", (4, 3), {"bias": False})],
    nn.RNN: [("tokens", (4, 3), {}), ("tokens", (4, 3), {"nonlinearity": "relu", "batch_first": True, "bias": False})],
    nn.LSTM: [("tokens", (4, 3, 2), {"dropout": 0.3, "bidirectional": True}),
              ("tokens", (4, 5), {"proj_size": 2, "batch_first": True})],
    nn.GRU: [("tokens", (4, 3, 2), {"dropout": 0.3, "batch_first": True}),
             ("tokens", (4, 3), {"bias": False, "bidirectional": True})],
}
MISSING = [kind.__name__ for kind in TABLE if not CASES_OF.get(kind)]
assert not MISSING, f"rows of the table without a case: {MISSING}"


def tensors(result):
    return [result] if isinstance(result, torch.Tensor) else [tensor for inner in result for tensor in tensors(inner)]


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.views = {}
        for kind in TABLE:
            for i, (views, args, kwargs) in enumerate(CASES_OF[kind]):
                name = f"{kind.__name__}_{i}"
                self.views[name] = (views,) if isinstance(views, str) else views
                self.add_module(name, kind(*args, **kwargs))

    def forward(self, x):
        outputs = []
        for name, child in self.named_children():
            given = {view: VIEWS[view](x) for view in self.views[name]}  # one tensor for one view
            outputs += [y.flatten() for y in tensors(child(*(given[view] for view in self.views[name])))]
        return torch.cat(outputs)


CASES = [("Table", ["2,4,96"])]
REFUSED = []
