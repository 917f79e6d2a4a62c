# SPDX-License-Identifier: Apache-2.0
"""PyTorch as a contestant of `braid bench model`; the protocol is told in README.md beside this file.
  python3 pytorch.py --version    python3 pytorch.py MANIFEST.json

PyTorch writes ONNX files but does not read them: here a network's operators become calls of torch.nn.functional, which
are traced, frozen and optimised for inference as PyTorch does with any model of its own. Operators of image classifiers
and detectors; another one is an error that names it.
"""
import functools

import numpy
import onnx
import onnx.numpy_helper
import torch
import torch.nn.functional as F

from contestant import serve


def tensor_of(proto):
    return torch.from_numpy(onnx.numpy_helper.to_array(proto).copy())


def windowed(x, a):
    """Pads x as a window operator asks; PyTorch's own padding is the same on both sides."""
    if a.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise NotImplementedError("auto_pad")
    pads = a.get("pads", [0, 0, 0, 0])
    if len(pads) != 4:
        raise NotImplementedError("windows of other than two dimensions")
    if pads[:2] == pads[2:]:
        return x, tuple(pads[:2]), None
    return x, (0, 0), (pads[1], pads[3], pads[0], pads[2])


def conv(a, x, w, b=None):
    x, padding, extra = windowed(x, a)
    if extra:
        x = F.pad(x, extra)
    return F.conv2d(x, w, b, a.get("strides", 1), padding, a.get("dilations", 1), a.get("group", 1))


def max_pool(a, x):
    x, padding, extra = windowed(x, a)
    if extra:
        x = F.pad(x, extra, value=float("-inf"))
    return F.max_pool2d(x, a["kernel_shape"], a.get("strides", 1), padding, a.get("dilations", 1),
                        bool(a.get("ceil_mode", 0)))


def average_pool(a, x):
    x, padding, extra = windowed(x, a)
    counted = bool(a.get("count_include_pad", 0))
    if extra:
        raise NotImplementedError("AveragePool with uneven padding")
    return F.avg_pool2d(x, a["kernel_shape"], a.get("strides", 1), padding, bool(a.get("ceil_mode", 0)), counted)


def gemm(a, x, w, c=None):
    x, w = (x.t() if a.get("transA") else x), (w.t() if a.get("transB") else w)
    alpha, beta = a.get("alpha", 1.0), a.get("beta", 1.0)
    return alpha * (x @ w) if c is None else torch.addmm(c, x, w, beta=beta, alpha=alpha)


def clip(a, x, low=None, high=None):
    low = a.get("min") if low is None else float(low)
    high = a.get("max") if high is None else float(high)
    return F.hardtanh(x, low, high) if low is not None and high is not None else torch.clamp(x, low, high)


def reshape(a, x, shape):
    sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist())]
    return x.reshape(sizes)


def pad(a, x, pads=None, value=None):
    pads = a["pads"] if pads is None else pads.tolist()
    if a.get("mode", b"constant") != b"constant":
        raise NotImplementedError("Pad other than with a constant")
    n = len(pads) // 2
    pairs = [p for d in reversed(range(n)) for p in (pads[d], pads[n + d])]
    return F.pad(x, pairs, value=float(value) if value is not None else a.get("value", 0.0))


TYPES = {onnx.TensorProto.FLOAT: torch.float32, onnx.TensorProto.INT64: torch.int64,
         onnx.TensorProto.UINT8: torch.uint8}
OPERATORS = {
    "Conv": conv, "MaxPool": max_pool, "AveragePool": average_pool, "Gemm": gemm, "Clip": clip, "Reshape": reshape,
    "Pad": pad,
    "GlobalAveragePool": lambda a, x: F.adaptive_avg_pool2d(x, 1),
    "BatchNormalization": lambda a, x, s, b, m, v: F.batch_norm(x, m, v, s, b, eps=a.get("epsilon", 1e-5)),
    "LRN": lambda a, x: F.local_response_norm(x, a["size"], a.get("alpha", 1e-4), a.get("beta", 0.75),
                                              a.get("bias", 1.0)),
    "Relu": lambda a, x: F.relu(x),
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "HardSwish": lambda a, x: F.hardswish(x),
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "Softmax": lambda a, x: F.softmax(x, a.get("axis", -1)),
    "Add": lambda a, x, y: x + y,
    "Mul": lambda a, x, y: x * y,
    "Sub": lambda a, x, y: x - y,
    "Div": lambda a, x, y: x / y,
    "Max": lambda a, *xs: functools.reduce(torch.maximum, xs),
    "Sum": lambda a, *xs: sum(xs[1:], xs[0]),
    "Concat": lambda a, *xs: torch.cat(xs, a["axis"]),
    "Flatten": lambda a, x: x.flatten(a.get("axis", 1)) if a.get("axis", 1) else x.reshape(1, -1),
    "Transpose": lambda a, x: x.permute(a["perm"]),
    "Cast": lambda a, x: x.to(TYPES[a["to"]]),
    "Identity": lambda a, x: x,
    "Dropout": lambda a, x: x,
}


class Network(torch.nn.Module):
    def __init__(self, graph, inputs, outputs):
        super().__init__()
        self.constants = {t.name: tensor_of(t) for t in graph.initializer}
        self.inputs, self.outputs, self.steps = inputs, outputs, []
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                self.constants[node.output[0]] = tensor_of(attributes["value"])
                continue
            if node.op_type not in OPERATORS or len([o for o in node.output if o]) != 1:
                raise NotImplementedError(f"error: {node.op_type} is not among the operators of pytorch.py")
            self.steps.append((OPERATORS[node.op_type], attributes, list(node.input), node.output[0]))

    def forward(self, *given):
        values = dict(self.constants)
        values.update(zip(self.inputs, given))
        for operator, attributes, names, out in self.steps:
            values[out] = operator(attributes, *(values[n] if n else None for n in names))
        return tuple(values[n] for n in self.outputs)


def open_network(manifest):
    torch.set_num_threads(manifest["threads"])
    torch.set_num_interop_threads(1)
    graph = onnx.load(manifest["model"]).graph
    given = tuple(torch.from_numpy(numpy.load(t["file"])) for t in manifest["inputs"])
    names = [[t["name"] for t in manifest[k]] for k in ("inputs", "outputs")]
    net = Network(graph, *names).eval()
    traced = torch.jit.trace(net, given, check_trace=False)
    ready = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
    return lambda: ready(*given), lambda results: [r.contiguous().numpy() for r in results]


with torch.inference_mode():
    serve(torch.__version__, open_network)
