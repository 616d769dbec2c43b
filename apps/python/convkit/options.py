"""The command lines, and how they refuse."""

import argparse
import json
import os
import sys
import textwrap
from collections import namedtuple

# An input of random numbers, whole ones below `bound` unless that is None; and one of a file, whose tensor of that
# name it is, or all of its tensors.
Random = namedtuple("Random", ["shape", "bound"])
File = namedtuple("File", ["path", "name"])

INPUTS = "sizes such as 1,3,224,224, or an .npy or .safetensors file"
IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam")  # that C++ has
SOUNDS = (".flac", ".m4a", ".mp3", ".ogg", ".wav")


def program():
    """What messages begin with: record.py, port.py."""
    return os.path.basename(sys.argv[0])


def fail(option, expected, got):
    # One line, however many the cause has.
    sys.stderr.write(f"{program()}: {option}: expected {expected}, got {textwrap.shorten(str(got), 1000)}\n")
    sys.exit(2)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{program()}: {message.removeprefix('argument ')}\n")


def checked(expected, read):
    """What argparse reads an option with: `read` throws a ValueError for a text that is not what is expected."""
    def type_of_option(text):
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text}") from error
    return type_of_option


def require(condition):
    if not condition:
        raise ValueError


def read_callable(text):
    module, _, attribute = text.rpartition(":")
    require(attribute and module and (module.endswith(".py") or not module.startswith(".")))
    return text


def read_input(text):
    """A Random or a File."""
    save = "save the numbers that the module takes of it by numpy.save"
    for ending, kind, use in ((IMAGES, "an image", f"take --image and --preset, or {save}"), (SOUNDS, "a sound", save)):
        if text.lower().endswith(ending):
            raise argparse.ArgumentTypeError(f"expected {INPUTS}, got {text}: {kind}; {use}")
    path, chosen, name = text.partition(".safetensors:")
    if chosen:
        require(name)
        return File(path + ".safetensors", name)
    if text.endswith((".npy", ".safetensors")):
        return File(text, None)
    return Random(*read_shape(text))


def read_shape(text):
    """The sizes, and what bounds the whole numbers if they are to be such."""
    sizes, colon, bound = text.partition(":")
    shape = [int(size) for size in sizes.split(",")]
    require(min(shape) >= 0)
    require(not colon or 1 <= int(bound) < 2**63)
    return shape, int(bound) if colon else None


def read_kwargs(text):
    kwargs = json.loads(text)
    require(isinstance(kwargs, dict))
    return kwargs


def read_integer(least, most):
    def read(text):
        require(least <= int(text) <= most)
        return int(text)
    return checked(f"an integer from {least} to {most}", read)


def read_output(text):
    require(text.endswith(".safetensors"))
    return text


def parser_of(description, needs_input=True):
    """What all commands take."""
    parser = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("callable", metavar="MODULE:CALLABLE",
                        type=checked("a module or .py file, a colon and a name in it", read_callable))
    parser.add_argument("--input", action="append", required=needs_input, metavar="INPUT", dest="inputs",
                        type=checked(INPUTS, read_input), help="""the sizes of a random one, N,C,H,W, with :BELOW of
                        whole numbers below it; FILE.npy; FILE.safetensors, each tensor of which is one; or
                        FILE.safetensors:NAME; once for each""")
    parser.add_argument("--kwargs", default={}, metavar="JSON", type=checked("a JSON object", read_kwargs),
                        help="what the callable is called with")
    # torch takes 64 bits, and the training step the next seed.
    parser.add_argument("--seed", type=read_integer(-2**63, 2**64 - 2), default=0)
    return parser


def arguments(description):
    parser = parser_of(description, needs_input=False)
    parser.add_argument("--image", metavar="FILE", help="an image for the input, instead of --input")
    parser.add_argument("--preset", metavar="NETWORK[:WEIGHTS]",
                        help="the network of torchvision or timm, and its weights, that the image is prepared for")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--weights", metavar="FILE", help="a state_dict to load, .safetensors or .pt")
    weights.add_argument("--as-is", action="store_true", help="record the weights as the constructor made them")
    weights.add_argument("--fresh", action="store_true",
                         help="give all norms and biases other values, also those that the constructor loaded")
    parser.add_argument("--train", action="store_true", help="record a training step too")
    parser.add_argument("--steps", type=read_integer(1, 100000), metavar="N", help="record a training of N steps too")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, metavar="NAME",
                        help=f"of torch.optim, for --steps: {', '.join(OPTIMIZERS)}; by default SGD")
    parser.add_argument("--optim-kwargs", metavar="JSON", type=checked("a JSON object", read_kwargs),
                        help='what the optimizer is called with: {"lr": 0.1}')
    parser.add_argument("--channels-last", action="store_true", help="the weights and inputs in channels_last")
    parser.add_argument("--threads", type=read_integer(1, 1024), default=1, help="of torch; by default 1")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.safetensors",
                        type=checked("a .safetensors file", read_output))
    given = parser.parse_args()
    if (given.inputs is None) == (given.image is None):
        parser.error("expected --input, or --image with --preset")
    if (given.image is None) != (given.preset is None):
        parser.error("expected --image and --preset together")
    if given.steps is None and (given.optimizer is not None or given.optim_kwargs is not None):
        parser.error("expected --steps with --optimizer and --optim-kwargs")
    check_output(given.output)
    return given


def check_output(output):
    """Now, not after a long run."""
    try:
        require(not os.path.isdir(output))
        open(output + ".partial", "wb").close()
        os.remove(output + ".partial")
    except (OSError, ValueError) as error:
        fail("-o/--output", "a file that can be written", f"{output}: {str(error) or 'a folder'}")


def port_arguments(description):
    parser = parser_of(description)
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument("-o", "--output", metavar="FILE.h", type=checked("a .h file", read_header), help="the page")
    to.add_argument("--project", metavar="FOLDER", help="the page, a recording, and a program that compares them")
    parser.add_argument("--report", action="store_true", help="say of each class what C++ has of it")
    given = parser.parse_args()
    if given.output:
        check_output(given.output)
    return given


def read_header(text):
    require(text.endswith(".h"))
    return text


def namespace(given, output):
    """The arguments of a recording of what is ported."""
    return argparse.Namespace(callable=given.callable, inputs=given.inputs, kwargs=given.kwargs, seed=given.seed,
                              image=None, weights=None, as_is=False, fresh=True, train=True, steps=None, channels_last=False,
                              threads=1, output=output)
