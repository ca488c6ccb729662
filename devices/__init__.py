"""Describe devices as data: one TOML file a device, and the reader of those files.

The room's rule: a fact that is unknown is absent, never invented, and every file names the sources of its facts.
Nothing heavy is imported here (no numpy, no torch, no engine), so every other room may ask.

The file format. ``pixel-8.toml`` describes the device ``pixel-8``; the file name without its suffix is the slug. Keys
marked * must be there, all others may be absent, and a key that is not listed here is an error::

    name* = "Pixel 8"               what people call it
    kind* = "phone"                 phone | tablet | laptop | jetson | board | pc | browser | host
    year = 2023                     when it was first sold
    notes = ["...", ...]            what a user must know and no other key says

    [soc]                           the chip: name*, maker
    [cpu]                           cores; clusters = list of text, fastest first; isa = list of words of ``ISA_WORDS``
    [memory]                        gib* = list of rising numbers: the sizes it is sold with
    [[accelerator]]                 kind* (gpu | npu | dla | dsp), name*, note

    [prefer]*
    formats* = ["litert", ...]      ordered, the first is the best: coreml litert executorch openvino onnx tensorrt
    precision* = "fp16"             fp32 | fp16 | int8
    reason* = "One sentence."

    [minimum]                       what a bundle for this device may count on, and no more than that
    os = "Android 14"
    jetpack tensorrt onnxruntime litert openvino executorch     versions as text, such as "1.16"
    opset = 18                      the ONNX opset of an export: a number from 9 to 25 that these versions read
    deployment_target = "iOS17"     the Core ML target of an export: iOS or macOS and a number

    [camera]                        pixel_formats* = list of words of ``PIXEL_FORMATS``, as the system hands them out
    [[source]]                      title*, url* (https), for* = which facts it backs

``isa`` lists what every core of the device can do; where the makers of a device differ by region, what all of them can.
``host.toml`` holds no facts: cores, instruction sets and memory are read from this machine when it is loaded.
"""

from __future__ import annotations

from .catalogue import list_devices as list_devices
from .catalogue import load_device as load_device
from .catalogue import load_file as load_file
from .device import Accelerator as Accelerator
from .device import Cpu as Cpu
from .device import Device as Device
from .device import Minimum as Minimum
from .device import Prefer as Prefer
from .device import Soc as Soc
from .device import Source as Source
