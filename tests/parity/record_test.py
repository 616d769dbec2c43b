"""What record.py says of mistakes: exit status 2, one line on stderr, and no file left behind; and what it makes of
files as inputs, weights that a constructor loads, and layers that stay dead.

Most of a run would be the import of torch: each is a process of its own, forked from this one.
"""

import json
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import warnings

import numpy
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import together

RECORD = pathlib.Path(__file__).resolve().parents[2] / "apps" / "convkit" / "record.py"
MODULES = '''
import resource

import torch
from torch import nn

number, net = 3, nn.ReLU()


class Net(nn.Sequential):
    def __init__(self, width=4):
        super().__init__(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU())


class Output(nn.Module):
    def __init__(self, kind="argmax"):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        return {"argmax": x.argmax(1), "detached": x.detach(), "mixed": (x * 2, x.argmax(1)), "none": None}[self.kind]


class Extra(nn.Linear):
    def __init__(self):
        super().__init__(4, 2)

    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        pass


class Two(nn.Module):
    def forward(self, x, y):
        return x + y


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(self.embed(x).mean(1))


class Windows(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(x.unfold(0, 3, 1)).sum() + self.relu(x.view(2, 3).t())


class Throws(nn.Module):
    def forward(self, x):
        raise ValueError("of the user")


def throws():
    raise ValueError("of the user")


def cast(dtype):
    return Net().to(getattr(torch, dtype))


def norm():
    return nn.BatchNorm2d(3)


def large():
    return nn.Linear(700, 1001)


def lazy():
    return nn.Sequential(nn.LazyLinear(2))


def scripted():
    return nn.Sequential(torch.jit.script(nn.Linear(3, 2)))


def limited():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    return Net()


def text():
    return "text"


class Loads(nn.Module):
    """Its body has weights of a file, its head fresh ones."""

    def __init__(self, how="load_state_dict"):
        super().__init__()
        self.body = Net()
        self.head = nn.Sequential(nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5))
        weights = torch.load(f"given/{how}.pt", weights_only=True)
        if how == "load_state_dict":
            self.body.load_state_dict(weights)
        elif how == "not_strict":
            self.load_state_dict(weights, strict=False)
        else:
            with torch.no_grad():
                for key, value in self.body.state_dict().items():
                    value.copy_(weights[key])

    def forward(self, x):
        return self.head(self.body(x))


class LoadsStatistics(nn.Sequential):
    """Of a norm that is no batch norm and learns its statistics too."""

    def __init__(self):
        super().__init__(nn.InstanceNorm2d(3, affine=True, track_running_stats=True), nn.BatchNorm2d(3))
        self[0].load_state_dict(torch.load("given/statistics.pt", weights_only=True))


def sloped():
    return nn.Sequential(nn.Linear(4, 1), nn.PReLU(), nn.LayerNorm(1))


class Answers(nn.Module):
    """Whole numbers, and then others."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, words, x):
        return self.norm(self.embed(words).mean(1)) * x


class Drops(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(5, 6), nn.Dropout(), nn.Linear(6, 2))


class Sound(nn.Module):
    """Takes no batches."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 5)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(self.conv(x.view(1, 1, 100)))


class Partly(nn.Module):
    """Which of its layers run is a matter of the size."""

    def __init__(self):
        super().__init__()
        self.short = nn.Linear(4, 4)
        self.long = nn.Linear(4, 4)
        self.unused = nn.Dropout()
        self.parts = nn.ModuleList(nn.Sequential(nn.ReLU()) for _ in range(12))

    def forward(self, x):
        y = self.short(x)
        y = self.long(y) if len(x) > 2 else -y.abs()
        for part in self.parts:
            y = part(y)
        return y
'''
IMPORTS = "import no_such_module_of_theirs\n"
failures = []
started = 0


def run(name, *options, output, default_input=True):
    """What record.py leaves: the exit status, and what it prints."""
    command = [str(part) for part in (RECORD, name, *options, "-o", output)]
    if default_input:
        command += ["--input", "2,3,8,8"]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.path[:] = [path for path in sys.path if path != str(pathlib.Path(__file__).parent)]
            warnings.simplefilter("ignore")
            status = together.run(command)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(command, status, out.read(), err.read())


def expect(condition, what, ran):
    if not condition:
        failures.append(what)
        print(f"{what}: exit status {ran.returncode}\n{ran.stdout}{ran.stderr}")


def start(check, name, *options, output=None, **how):
    global started
    started += 1
    check(run(name, *options, output=output or f"out{started}.safetensors", **how))


def refused(line, name, *options, **how):
    """`line` is what stderr begins with, after a note on torchvision; its end is torch's or the system's."""
    def check(ran):
        said = ran.stderr[ran.stderr.startswith("convkit: torchvision's") and ran.stderr.index("\n") + 1:]
        one = said.count("\n") == 1 and said.startswith(f"record.py: {line}")
        expect(ran.returncode == 2 and one and not ran.stdout, line, ran)
    start(check, name, *options, **how)


def thrown(end, name):
    def check(ran):
        expect(ran.returncode == 1 and "Traceback" in ran.stderr and ran.stderr.endswith(f"{end}\n"), name, ran)
    start(check, name)


def test_arguments():
    refused("MODULE:CALLABLE: expected a module or .py file, a colon and a name in it, got nets.py\n", "nets.py")
    refused("MODULE:CALLABLE: expected a module or .py file, a colon and a name in it, got :Net\n", ":Net")
    refused("MODULE:CALLABLE: expected a file that exists, got none.py\n", "none.py:Net")
    refused("MODULE:CALLABLE: expected a module that can be imported, got none: No module named 'none'\n", "none:Net")
    refused("MODULE:CALLABLE: expected a module that can be imported, got torch.none: No module", "torch.none:Net")
    refused("MODULE:CALLABLE: expected a name in nets.py, got None.x\n", "nets.py:None.x")
    refused("MODULE:CALLABLE: expected a class or function, got nets.py:number, of type int\n", "nets.py:number")
    refused("MODULE:CALLABLE: expected a class or function that makes the module, got nets.py:net, a ReLU itself\n",
            "nets.py:net")
    refused("MODULE:CALLABLE: expected nets.py:text to give a torch.nn.Module, got str\n", "nets.py:text")
    refused("MODULE:CALLABLE: expected modules of Python, got the ScriptModule '0', which has no hooks\n",
            "nets.py:scripted")
    refused("MODULE:CALLABLE: expected a module with all its weights, got '0.weight' without a shape; "
            "let nets.py:lazy call a lazy module once\n", "nets.py:lazy")

    for text in ["1,,3", "3,-1", "2,3:0", "2,3:x"]:
        refused(f"--input: expected sizes such as 1,3,224,224, or an .npy or .safetensors file, got {text}\n",
                "nets.py:Net", "--input", text)
    refused("--input: expected sizes of a torch.float32 tensor that fits in memory, got [[1000000, 1000000, 1000000]]:",
            "nets.py:Net", "--input", "1000000,1000000,1000000", default_input=False)
    refused("expected --input, or --image with --preset\n", "nets.py:Net", default_input=False)
    refused("expected --input, or --image with --preset\n", "nets.py:Net", "--image", "a.jpg")
    refused("expected --image and --preset together\n", "nets.py:Net", "--image", "a.jpg", default_input=False)
    refused("--preset: expected a network of torchvision or timm with published weights, got unet", "nets.py:Net", "--image", "a.jpg",
            "--preset", "unet", default_input=False)
    refused("--image: expected an image that Pillow reads, got none.jpg: ", "nets.py:Net", "--image", "none.jpg",
            "--preset", "resnet18", default_input=False)
    refused("--preset: expected weights of resnet18: DEFAULT, IMAGENET1K_V1, got V7", "nets.py:Net", "--image", "a.jpg",
            "--preset", "resnet18:V7", default_input=False)
    for text in ["{", "[1]"]:
        refused(f"--kwargs: expected a JSON object, got {text}\n", "nets.py:Net", "--kwargs", text)
    refused("--kwargs: expected what nets.py:Net takes, got {\"depth\": 2}: got an unexpected keyword argument 'depth'",
            "nets.py:Net", "--kwargs", '{"depth": 2}')
    refused("--kwargs: expected what nets.py:cast takes, got {}: missing a required argument: 'dtype'", "nets.py:cast")
    for text in ["0", "two"]:
        refused(f"--threads: expected an integer from 1 to 1024, got {text}\n", "nets.py:Net", "--threads", text)
    refused("--seed: expected an integer from", "nets.py:Net", "--seed", str(2**64))


def test_output():
    refused("-o/--output: expected a .safetensors file, got out.pt\n", "nets.py:Net", output="out.pt")
    # Before the module is made: this one throws.
    refused("-o/--output: expected a file that can be written, got none/out.safetensors: [Errno 2]", "nets.py:throws",
            output="none/out.safetensors")
    refused("-o/--output: expected a file that can be written, got folder.safetensors: a folder\n", "nets.py:throws",
            output="folder.safetensors")
    refused("-o/--output: expected a file that can be written, got limited.safetensors: ", "nets.py:limited",
            output="limited.safetensors")


def test_weights():
    for file in ["text.pt", "text.safetensors", "empty.pt", "empty.safetensors"]:
        pathlib.Path(file).write_text("a text" if file.startswith("text") else "")
    for file in ["none.pt", "none.safetensors", "", "text.pt", "text.safetensors", "empty.pt", "empty.safetensors"]:
        refused(f"--weights: expected a state_dict, .safetensors or .pt, got {file}: ", "nets.py:Net",
                "--weights", file)
    torch.save([torch.ones(2)], "list.pt")
    refused("--weights: expected a state_dict, got list.pt, which holds a list\n", "nets.py:Net",
            "--weights", "list.pt")
    torch.save({"fc.weight": torch.ones(2)}, "other.pt")
    refused("--weights: expected a state_dict that fits Net, got other.pt: Error(s) in loading state_dict for Net: "
            "Missing key(s)", "nets.py:Net", "--weights", "other.pt")


    refused("--as-is: not allowed with argument --weights\n", "nets.py:Net", "--weights", "list.pt", "--as-is")
    refused("--fresh: not allowed with argument --as-is\n", "nets.py:Net", "--as-is", "--fresh")


def test_train():
    got = {"argmax": "torch.int64 without one", "detached": "torch.float32 without one",
           "mixed": "torch.float32, torch.int64 without one", "none": "no tensors"}
    for kind, found in got.items():
        refused(f"--train: expected outputs that need a gradient, got {found}\n", "nets.py:Output", "--train",
                "--kwargs", f'{{"kind": "{kind}"}}')


def test_steps():
    """A training, written anew here, gives the recorded numbers; and what is none is refused."""
    kwargs = {"lr": 0.03, "momentum": 0.9}
    options = ("--seed", "7", "--steps", "13", "--optim-kwargs", json.dumps(kwargs))
    before = started
    tensors = recorded("nets.py:Net", *options)
    described = metadata(f"recorded{before}.safetensors")["steps"]
    hold((described["count"], described["optimizer"]) == (13, "SGD"), f"{described}")
    hold(described["options"].items() >= kwargs.items(), f"{described}")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    net.load_state_dict({key[11:]: value for key, value in tensors.items() if key.startswith("state_dict/")})
    optimizer = torch.optim.SGD(net.parameters(), **kwargs)
    for step in range(1, 14):
        optimizer.zero_grad()
        y = net(tensors[f"steps/input/{step}/0"])
        loss = torch.nn.functional.mse_loss(y, tensors[f"steps/target/{step}/0"])
        loss.backward()
        optimizer.step()
        hold(torch.equal(loss, tensors["steps/loss"][step - 1]), f"the loss of step {step}")
        state = {key[len(f"steps/state/{step}/"):]: value for key, value in tensors.items()
                 if key.startswith(f"steps/state/{step}/")}
        hold(len(state) == (7 if step in (10, 13) else 0), f"the tensors of step {step}: {len(state)}")
        hold(all(torch.equal(net.state_dict()[key], value) for key, value in state.items()), f"step {step}")
    hold(not torch.equal(tensors["steps/input/1/0"], tensors["steps/input/2/0"]), "other inputs in each step")
    hold(len(tensors["steps/loss"].unique()) == 13, "other losses in each step")
    for key in net.state_dict():
        hashes = tensors[f"steps/hash/{key}"]
        # The norm takes the bias away, so that its gradient is nearly 0.
        hold(hashes.dtype == torch.int64 and len(hashes.unique()) == 13 or key == "0.bias", f"hashes of {key}")

    # Seeds that come next to the last; dropped numbers are the same again.
    one, two = (recorded("nets.py:Drops", "--steps", "3", "--seed", str(2**64 - 2), "--input", "4,5", default_input=False)
                for _ in range(2))
    hold(torch.equal(one["steps/loss"], two["steps/loss"]), "the same training")
    numpy.save("given/rows.npy", numpy.random.default_rng(2).standard_normal((4, 5)).astype("f4"))
    tensors = recorded("nets.py:Drops", "--steps", "2", "--input", "given/rows.npy", default_input=False)
    hold(torch.equal(tensors["steps/input/1/0"], tensors["steps/input/2/0"]), "a file in each step")
    recorded("nets.py:Net", "--steps", "2", "--optim-kwargs", '{"lr": 0}', said="record.py: no weight changed in the "
             "training, which proves nothing; give another --optim-kwargs\n")
    recorded("nets.py:Drops", "--input", "4,5", "--steps", "9", "--optim-kwargs", '{"lr": 1e30}', default_input=False,
             said="record.py: the loss is not finite from step 2 on; give another --optim-kwargs, with a smaller lr\n")

    for text in ["0", "two"]:
        refused(f"--steps: expected an integer from 1 to 100000, got {text}\n", "nets.py:Net", "--steps", text)
    refused("expected --steps with --optimizer and --optim-kwargs\n", "nets.py:Net", "--optimizer", "Adam")
    refused("--optimizer: invalid choice: 'Lion' (choose from", "nets.py:Net", "--steps", "2", "--optimizer", "Lion")
    refused("--optim-kwargs: expected a JSON object, got 1\n", "nets.py:Net", "--steps", "2", "--optim-kwargs", "1")
    refused("--optim-kwargs: expected what SGD takes, got {'lr': -1}: Invalid learning rate: -1\n", "nets.py:Net",
            "--steps", "2", "--optim-kwargs", '{"lr": -1}')
    refused("--optim-kwargs: expected no foreach, which C++ does not have, got {'foreach': True}\n", "nets.py:Net",
            "--steps", "2", "--optim-kwargs", '{"foreach": true}')
    refused("--optim-kwargs: expected what SGD takes, got {}: optimizer got an empty parameter list\n",
            "nets.py:Output", "--steps", "2")


def test_inputs():
    """Those that the module does not take: the words are torch's, with the line that asked for it."""
    def shape(name, given, words, *options, made=None):
        def check(ran):
            one = ran.stderr.count("\n") == 1 and ran.stderr.startswith(f"record.py: --input: expected what {name} takes, got ")
            expect(ran.returncode == 2 and one and not ran.stdout and words in ran.stderr, f"{name} {given}", ran)
        inputs = [part for text in given for part in ("--input", text)]
        start(check, f"nets.py:{made or name}", *inputs, *options, default_input=False)
    shape("Net", ["2,4,8,8"], "float32 [2, 4, 8, 8]: RuntimeError: Given groups=1")
    shape("Net", ["2,4,8,8"], "float32 [2, 4, 8, 8]: RuntimeError: Given groups=1", "--as-is")
    shape("BatchNorm2d", ["2,3,8"], "float32 [2, 3, 8]: ValueError: expected 4D input (got 3D input)\n", made="norm")
    shape("Net", ["2,3,8,8:9"], "RuntimeError: ")
    shape("Two", ["2,3", "2,4"], "must match the size of tensor b (4) at non-singleton dimension 1 (nets.py, line 37)\n")
    shape("Two", ["2,3"], "1 input, float32 [2, 3]: missing a required argument: 'y'")
    shape("Two", ["2,3", "2,3", "2,3"], "3 inputs, float32 [2, 3], float32 [2, 3], float32 [2, 3]: too many positional arguments")
    shape("Windows", ["7"], "float32 [7]: RuntimeError: shape '[2, 3]' is invalid")
    shape("Words", ["2,5"], "float32 [2, 5]: RuntimeError: Expected tensor for argument #1 'indices'")
    shape("Words", ["2,5:99999"], "int64 [2, 5]: IndexError: index out of range in self")


class Touches:
    """Makes a file where somebody unpickles it."""

    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path("given/touched"),)


def write_bad_files():
    """The names of files that are no input, with what is said of them."""
    numpy.save("given/good.npy", numpy.arange(6.0).reshape(2, 3))
    good = pathlib.Path("given/good.npy").read_bytes()
    bad = {"none.npy": "no such file", "folder.npy": "a folder"}
    pathlib.Path("given/folder.npy").mkdir()

    def write(name, data, said):
        pathlib.Path("given", name).write_bytes(data)
        bad[name] = said

    def header(name, text, said="a damaged header"):
        write(name, b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text, said)

    def array(name, value, said):
        numpy.save(f"given/{name}", value, allow_pickle=True)
        bad[name] = said
    no_array = "no array that numpy.save wrote"
    write("empty.npy", b"", no_array)
    write("text.npy", b"a text", no_array)
    write("pickle.npy", pickle.dumps(Touches()), no_array)
    write("version.npy", b"\x93NUMPY\4\0" + good[8:], "version [4, 0] of the format")
    write("cut.npy", good[:-1], "47 bytes for the shape [2, 3] of torch.float64, which takes 48")
    write("longer.npy", good + b"x", "49 bytes for the shape [2, 3] of torch.float64, which takes 48")
    write("cut_header.npy", good[:60], "a damaged header")
    header("no_dict.npy", b"[1, 2]")
    header("no_python.npy", b"{'descr': ")
    header("nested.npy", b"(" * 5000)
    header("minus.npy", b"-" * 9000 + b"1")
    header("code.npy", b"{'descr': '<f8', 'fortran_order': False, 'shape': (len('ab'),)}")
    header("negative.npy", b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 2)}")
    header("true.npy", b"{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}")
    header("order.npy", b"{'descr': '<f8', 'fortran_order': 'no', 'shape': (1,)}")
    header("large.npy", b"{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807, 9)}",
           "0 bytes for the shape [9223372036854775807, 9] of torch.float64, which takes 664082786653543858104")
    array("objects.npy", numpy.array([Touches()], dtype=object), "the dtype '|O', which torch does not have")
    array("words.npy", numpy.array(["one"]), "the dtype '<U3', which torch does not have")
    array("dates.npy", numpy.array(["2020-01-01"], "M8[D]"), "the dtype '<M8[D]', which torch does not have")
    array("record.npy", numpy.zeros(2, [("a", "<f4")]), "the dtype [('a', '<f4')], which torch does not have")

    save_file({"x": torch.ones(2, 3)}, "given/one.safetensors")
    one = pathlib.Path("given/one.safetensors").read_bytes()
    save_file({}, "given/nothing.safetensors")
    bad |= {"none.safetensors": "no such file", "nothing.safetensors": "no tensor", "one.safetensors:y": "no y, but x"}
    write("cut.safetensors", one[:-1], "")
    write("text.safetensors", b"a text", "")
    return bad


def test_files():
    for name, said in write_bad_files().items():
        kind = "an .npy file of numbers" if name.endswith(".npy") else "a .safetensors file"
        file = name.partition(":")[0]
        # Before the module is made: this one throws.
        refused(f"--input: expected {kind}, got given/{file}: {said}" + "\n" * bool(said), "nets.py:throws",
                "--input", f"given/{name}", default_input=False)
    if pathlib.Path("given/touched").exists():
        failures.append("a pickle ran")

    either = "sizes such as 1,3,224,224, or an .npy or .safetensors file"
    for name, kind in ("photo.jpg", "an image; take --image and --preset, or"), ("photo.PNG", "an image; take --image and --preset, or"), ("a.wav", "a sound;"):
        refused(f"--input: expected {either}, got {name}: {kind} save the numbers that the module takes of it by "
                "numpy.save\n", "nets.py:Net", "--input", name)
    for name in "x.npz", "x.pt", "x.npy:x", "x.safetensors:":
        refused(f"--input: expected {either}, got {name}\n", "nets.py:Net", "--input", name)

    numpy.save("given/double.npy", numpy.zeros((2, 3, 8, 8)))
    numpy.save("given/bytes.npy", numpy.zeros((2, 3, 8, 8), "u1"))
    numpy.save("given/flat.npy", numpy.zeros((2, 8), "f4"))
    got = "--input: expected what Net takes, got "
    for options in (), ("--as-is",):
        refused(f"{got}float64 [2, 3, 8, 8]: RuntimeError: Input type (double) and bias type (float) should be the same; "
                "its weights are float32\n", "nets.py:Net", "--input", "given/double.npy", *options, default_input=False)
    refused(f"{got}uint8 [2, 3, 8, 8]: RuntimeError: Input type (unsigned char) and bias type (float) should be the same; "
            "its weights are float32\n", "nets.py:Net", "--input", "given/bytes.npy", default_input=False)
    refused(f"{got}float32 [2, 8]: RuntimeError: Expected 3D (unbatched) or 4D (batched) input to conv2d", "nets.py:Net",
            "--input", "given/flat.npy", default_input=False)
    refused(f"{got}2 inputs, float32 [2, 8], float32 [2, 3, 8, 8]: too many positional arguments\n", "nets.py:Net",
            "--input", "given/flat.npy")


def test_exceptions_of_the_module_keep_their_traceback():
    thrown("ValueError: of the user", "nets.py:throws")
    thrown("ValueError: of the user", "nets.py:Throws")
    thrown("ModuleNotFoundError: No module named 'no_such_module_of_theirs'", "imports:Net")


def nothing_is_left():
    left = {str(path) for path in pathlib.Path().rglob("*") if path.suffix in (".safetensors", ".partial", ".pt")}
    left -= {"text.pt", "text.safetensors", "empty.pt", "empty.safetensors", "list.pt", "other.pt",
             "folder.safetensors"}
    left = {path for path in left if not path.startswith("given/")}
    if left:
        failures.append("left")
        print(f"left after errors: {left}")


def test_dtypes(dtype):
    def check(ran):
        expect(ran.returncode == 0 and not ran.stderr, dtype, ran)
        tensors = load_file(f"{dtype}.safetensors")
        for key in ["input/#0/0", "output/#0", "train/output/0", "train/input_gradient/0"]:
            tensor = tensors[key]
            expect(tensor.dtype == getattr(torch, dtype) and tensor.count_nonzero() > 0, f"{dtype} {key}", ran)
    start(check, "nets.py:cast", "--train", "--kwargs", f'{{"dtype": "{dtype}"}}', output=f"{dtype}.safetensors")


def test_extra_state():
    def check(ran):
        said = "record.py: left out _extra_state of the state_dict: no tensor\n"
        expect(ran.returncode == 0 and ran.stderr == said, "extra state", ran)
        keys = {key for key in load_file("extra.safetensors") if key.startswith("state_dict/")}
        expect(keys == {"state_dict/weight", "state_dict/bias"}, f"extra state: {keys}", ran)
    start(check, "nets.py:Extra", "--input", "2,4", default_input=False, output="extra.safetensors")


def test_whole_numbers():
    def check(ran):
        expect(ran.returncode == 0 and not ran.stderr, "whole numbers", ran)
        tensors = load_file("words.safetensors")
        x = tensors["input/#0/0"]
        expect(x.dtype == torch.int64 and 0 <= x.min() < x.max() < 10, f"whole numbers: {x}", ran)
        expect("train/input_gradient/0" not in tensors, "whole numbers have no gradient", ran)
        expect(tensors["train/parameter_gradient/embed.weight"].count_nonzero() > 0, "gradient of the words", ran)
    start(check, "nets.py:Words", "--input", "20,5:10", "--train", default_input=False, output="words.safetensors")


def recorded(name, *options, said="", **how):
    """The tensors of a recording, about which stderr says this."""
    output = f"recorded{started}.safetensors"

    def check(ran):
        expect(ran.returncode == 0 and ran.stderr == said, f"{name} {options}", ran)
    start(check, name, *options, output=output, **how)
    return load_file(output)


def hold(condition, what):
    if not condition:
        failures.append(what)
        print(what)


def test_inputs_of_files():
    """They are recorded as they are."""
    numbers = numpy.random.default_rng(0)
    words, x = numbers.integers(0, 10, (6, 5)), numbers.standard_normal((6, 4)).astype("f4")
    save_file({"10": torch.tensor(x), "2": torch.tensor(words)}, "given/two.safetensors")
    save_file({"words": torch.tensor(words), "a": torch.ones(3), "x": torch.tensor(x)}, "given/three.safetensors")
    numpy.save("given/words.npy", words.astype(">i4"))
    numpy.save("given/x.npy", numpy.asfortranarray(x))
    for files in (["two.safetensors"], ["words.npy", "x.npy"], ["three.safetensors:words", "three.safetensors:x"]):
        options = [part for file in files for part in ("--input", f"given/{file}")]
        for train in [], ["--train"]:
            tensors = recorded("nets.py:Answers", *options, *train, default_input=False)
            kind = torch.int32 if files[0] == "words.npy" else torch.int64
            hold(torch.equal(tensors["input/#0/0"], torch.tensor(words, dtype=kind)), f"whole numbers of {files}")
            hold(torch.equal(tensors["input/#0/1"], torch.tensor(x)), f"numbers of {files}")
            seen = tensors["input/norm#0/0"]
            hold(torch.allclose(tensors["state_dict/norm.running_mean"], seen.mean(0), atol=1e-6), f"mean of {files}")
            hold(torch.allclose(tensors["state_dict/norm.running_var"], seen.var(0), rtol=1e-5), f"variance of {files}")
            hold(tensors["state_dict/norm.num_batches_tracked"] == 1, f"batches of {files}")
    tensors = recorded("nets.py:Answers", "--input", "6,5:10", "--input", "given/x.npy", default_input=False)
    hold(torch.equal(tensors["input/#0/1"], torch.tensor(x)), "a random input beside a file's")

    # One pixel, of which a norm has no variance: another one is drawn of its numbers.
    image = torch.rand(1, 3, 3, 3, generator=torch.Generator().manual_seed(20))
    save_file({"x": image}, "given/pixel.safetensors")
    tensors = recorded("nets.py:Net", "--input", "given/pixel.safetensors", default_input=False)
    hold(torch.equal(tensors["input/#0/0"], image), "one pixel")
    hold((tensors["state_dict/1.running_var"] > 0).all(), "the variance of one pixel")
    hold(tensors["state_dict/1.num_batches_tracked"] == 1, "batches of one pixel")

    sound = numbers.standard_normal(100).astype("f4")
    numpy.save("given/sound.npy", sound)
    for given in "given/sound.npy", "100":
        tensors = recorded("nets.py:Sound", "--input", given, default_input=False)
        hold(tensors["input/#0/0"].shape == (100,), f"a sound: {given}")
        seen = tensors["input/norm#0/0"].mean((0, 2))
        hold(torch.allclose(tensors["state_dict/norm.running_mean"], seen, atol=1e-6), f"mean of a sound: {given}")
    hold(torch.equal(recorded("nets.py:Sound", "--input", "given/sound.npy", default_input=False)["input/#0/0"],
                     torch.tensor(sound)), "a sound")


def said_of_kept(count, of):
    return (f"record.py: kept {count} of {of} tensors, which the constructor loaded or set; --fresh gives the norms and "
            "biases among them other values\n")


def test_loaded_weights():
    """They are left alone: by load_state_dict those that look fresh too, copied by hand those that do not."""
    def net(seed):
        torch.manual_seed(seed)
        body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        return body.state_dict()
    trained = {key: value + (torch.rand(value.shape) if value.is_floating_point() else 7)
               for key, value in net(8).items()}
    part = {f"body.{key}": value for key, value in trained.items() if "running" not in key}
    files = {"load_state_dict": net(9), "not_strict": part, "copy": trained}
    for how, weights in files.items():
        torch.save(weights, f"given/{how}.pt")
    numpy.save("given/image.npy", numpy.random.default_rng(1).standard_normal((1, 3, 8, 8)).astype("f4"))

    def loads(how, count, *options):
        said = said_of_kept(count, 14) if count else ""
        before = started
        tensors = recorded("nets.py:Loads", "--input", "given/image.npy", "--kwargs", json.dumps({"how": how}), *options,
                           said=said, default_input=False)
        return tensors, metadata(f"recorded{before}.safetensors")["fresh"]

    def body(tensors, how):
        return {key: torch.equal(tensors[f"state_dict/body.{key.removeprefix('body.')}"], value)
                for key, value in files[how].items()}

    for how, count in ("load_state_dict", 7), ("not_strict", 6), ("copy", 3):
        tensors, fresh = loads(how, count)
        head = {key[18:]: value for key, value in tensors.items() if key.startswith("state_dict/head.1.")}
        # The first norm whose running statistics are fresh has those of what it is given.
        norm = "body.1" if how == "not_strict" else "head.1"
        seen = tensors[f"input/{norm}#0/0"]
        for name, value in ("mean", seen.mean((0, 2, 3))), ("var", seen.var((0, 2, 3))):
            close = torch.allclose(tensors[f"state_dict/{norm}.running_{name}"], value, rtol=1e-4, atol=1e-6)
            hold(close, f"{how}: {norm} {name}")
        same = body(tensors, how)
        same.pop("body.1.num_batches_tracked", None)  # whose norm takes other statistics
        hold(all(same.values()), f"{how}: {same}")
        hold(len(head["weight"].unique()) == 5 and len(head["bias"].unique()) == 5, f"{how}: the head's norm")
        loaded = set() if how == "copy" else {f"body.{key.removeprefix('body.')}" for key in files[how]}
        if how == "not_strict":  # from a file without versions of modules, torch sets this in all norms
            loaded.add("head.1.num_batches_tracked")
        hold(fresh.keys() == {key[11:] for key in tensors if key.startswith("state_dict/")} - loaded, f"{how}: {fresh}")
        # The convolution's weight alone is neither a norm's nor a bias.
        same = body(loads(how, 0, "--fresh")[0], how)
        kept = [key.removeprefix("body.") for key, equal in same.items() if equal and "num" not in key]
        hold(kept == ["0.weight"], f"{how} --fresh: {same}")
        tensors = loads(how, 0, "--as-is")[0]
        hold(all(body(tensors, how).values()) and (tensors["state_dict/head.1.weight"] == 1).all(), f"{how} --as-is")
    statistics = torch.nn.InstanceNorm2d(3, affine=True, track_running_stats=True).state_dict()
    torch.save(statistics, "given/statistics.pt")
    others = recorded("nets.py:LoadsStatistics", "--input", "given/image.npy", default_input=False,
                      said=said_of_kept(5, 10))
    hold(all(torch.equal(others[f"state_dict/0.{key}"], value) for key, value in statistics.items()), "statistics")
    hold(len(others["state_dict/1.running_mean"].unique()) == 3, "the other norm's statistics")
    torch.save({key[11:]: value + 1 for key, value in tensors.items() if key.startswith("state_dict/")}, "given/all.pt")
    others = loads("load_state_dict", 0, "--weights", "given/all.pt")[0]
    hold(all(torch.equal(others[key], tensors[key] + 1) for key in others if key.startswith("state_dict/")), "--weights")


def test_single_numbers():
    """Those that norms and PReLU begin with are fresh; of others it is not known."""
    tensors = recorded("nets.py:sloped", "--input", "3,4", default_input=False,
                       said="record.py: these stayed dead, their outputs one number all over or not finite: 2; give "
                            "another --input, or other weights\n")
    plain = recorded("nets.py:sloped", "--input", "3,4", "--as-is", default_input=False,
                     said="record.py: these stayed dead, their outputs one number all over or not finite: 2; give "
                          "another --input, or other weights\n")
    same = [key for key, value in plain.items() if key.startswith("state_dict/") and torch.equal(tensors[key], value)]
    hold(same == ["state_dict/0.bias", "state_dict/0.weight"], f"single numbers: {same}")


def test_dead_layers():
    dead = ", ".join(f"parts.{i}.0" for i in range(10))
    dead = (f"record.py: these stayed dead, their outputs one number all over or not finite: {dead}, and 2 more; "
            "give another --input, or other weights\n")
    called = ("record.py: these were never called: long; give an --input that reaches them, unless the module uses their "
              "weights itself\n")
    recorded("nets.py:Partly", "--input", "2,4", said=dead + called, default_input=False)
    recorded("nets.py:Partly", "--input", "3,4", default_input=False)
    save_file({"x": torch.full((2, 4), torch.nan)}, "given/nan.safetensors")
    nan = dead.replace("parts.0.0", "short, parts.0.0").replace(", parts.9.0, and 2", ", and 3")
    recorded("nets.py:Partly", "--input", "given/nan.safetensors", said=nan + called, default_input=False)


def metadata(file):
    with safe_open(file, "pt") as opened:
        return json.loads(opened.metadata()["recording"])


def test_hash():
    def check(ran):
        expect(ran.returncode == 0, "hash", ran)
        data = load_file("large.safetensors")["state_dict/weight"].reshape(-1).view(torch.uint8).to(torch.int64)
        whole = (data * (2 * torch.arange(data.numel()) + 1)).sum().item()
        expect(metadata("large.safetensors")["fresh"]["weight"] == whole, "hash of several parts", ran)
    start(check, "nets.py:large", "--input", "2,700", "--as-is", default_input=False, output="large.safetensors")


def test_strides():
    def check(ran):
        expect(ran.returncode == 0, "strides", ran)
        strides = metadata("windows.safetensors")["strides"]
        expect(strides == {"input/relu#1/0": [1, 3]}, f"strides: {strides}", ran)
    start(check, "nets.py:Windows", "--input", "6", default_input=False, output="windows.safetensors")


def test_as_people_run_it():
    """Python itself runs the script, on good and on bad arguments."""
    for name, code in ("nets.py:Net", 0), ("nets.py:None", 2):
        ran = subprocess.run([sys.executable, "-W", "ignore", RECORD, name, "--input", "2,3,8,8", "-o", "run.safetensors"],
                             capture_output=True, text=True, check=False)
        expect(ran.returncode == code and bool(ran.stdout) == (code == 0), f"as people run it: {name}", ran)


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        pathlib.Path("nets.py").write_text(MODULES)
        pathlib.Path("imports.py").write_text(IMPORTS)
        pathlib.Path("folder.safetensors").mkdir()
        pathlib.Path("given").mkdir()
        for test in [test_arguments, test_output, test_weights, test_train, test_inputs, test_files,
                     test_exceptions_of_the_module_keep_their_traceback]:
            test()
        nothing_is_left()
        for dtype in ["float32", "float64", "float16", "bfloat16"]:
            test_dtypes(dtype)
        for test in [test_extra_state, test_whole_numbers, test_inputs_of_files, test_steps, test_loaded_weights, test_single_numbers,
                     test_dead_layers, test_hash, test_strides, test_as_people_run_it]:
            test()
        os.chdir("/")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
