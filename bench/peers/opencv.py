# SPDX-License-Identifier: Apache-2.0
"""OpenCV's DNN module as a contestant of `braid bench model`; the protocol is told in README.md beside this file.
  python3 opencv.py --version    python3 opencv.py MANIFEST.json
"""
import cv2
import numpy

from contestant import serve


def open_net(manifest):
    cv2.setNumThreads(manifest["threads"])
    net = cv2.dnn.readNetFromONNX(manifest["model"])
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
    net.setInputsNames([t["name"] for t in manifest["inputs"]])
    for t in manifest["inputs"]:  # OpenCV computes from float blobs: bytes are converted here, once
        net.setInput(numpy.ascontiguousarray(numpy.load(t["file"]), numpy.float32), t["name"])
    return net


def output_layers(net, outputs):
    """OpenCV calls an output by its layer: its ONNX name or (newer versions) the node's; else in the file's order."""
    ends = list(net.getUnconnectedOutLayersNames())
    names = [t["name"] for t in outputs]
    for prefix in ("", "onnx_node!"):
        if all(prefix + n in ends for n in names):
            return [prefix + n for n in names]
    if len(ends) != len(names):
        raise RuntimeError(f"OpenCV sees {len(ends)} outputs, the model has {len(names)}")
    return ends


def open_network(manifest):
    net = open_net(manifest)
    layers = output_layers(net, manifest["outputs"])
    return lambda: net.forward(layers), lambda results: results


serve(cv2.__version__, open_network)
