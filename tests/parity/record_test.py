"""What record.py says of mistakes: exit status 2, one line on stderr, and no file left behind.

Most of a run would be the import of torch: each is a process of its own, forked from this one.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

import torch
from safetensors import safe_open
from safetensors.torch import load_file

import together

RECORD = pathlib.Path(__file__).resolve().parents[2] / "apps" / "convkit" / "record.py"
MODULES = '''
import resource

import torch
from torch import nn

number = 3


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
    """`line` is what stderr begins with; its end is torch's or the system's."""
    def check(ran):
        one = ran.stderr.count("\n") == 1 and ran.stderr.startswith(f"record.py: {line}")
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
    refused("the following arguments are required: --input\n", "nets.py:Net", default_input=False)
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


def test_train():
    got = {"argmax": "torch.int64 without one", "detached": "torch.float32 without one",
           "mixed": "torch.float32, torch.int64 without one", "none": "no tensors"}
    for kind, found in got.items():
        refused(f"--train: expected outputs that need a gradient, got {found}\n", "nets.py:Output", "--train",
                "--kwargs", f'{{"kind": "{kind}"}}')


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


def test_exceptions_of_the_module_keep_their_traceback():
    thrown("ValueError: of the user", "nets.py:throws")
    thrown("ValueError: of the user", "nets.py:Throws")
    thrown("ModuleNotFoundError: No module named 'no_such_module_of_theirs'", "imports:Net")


def nothing_is_left():
    left = {str(path) for path in pathlib.Path().rglob("*") if path.suffix in (".safetensors", ".partial", ".pt")}
    left -= {"text.pt", "text.safetensors", "empty.pt", "empty.safetensors", "list.pt", "other.pt",
             "folder.safetensors"}
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
        for test in [test_arguments, test_output, test_weights, test_train, test_inputs,
                     test_exceptions_of_the_module_keep_their_traceback]:
            test()
        nothing_is_left()
        for dtype in ["float32", "float64", "float16", "bfloat16"]:
            test_dtypes(dtype)
        for test in [test_extra_state, test_whole_numbers, test_hash, test_strides, test_as_people_run_it]:
            test()
        os.chdir("/")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
