"""Checkpoints as training scripts in public use lay them out, for tests/files/torch_file_test.cpp: layouts.py FOLDER

FOLDER gets a file for each, and manifest.json, which says what load_checkpoint() has to take of it: the tensors, or
the members to choose from, with the number of tensors in each. None stands for a file in which no weights can be.
"""

import argparse
import collections
import json
import sys
import types
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from torch_files import Net, tensors_of

EMPTY = types.ModuleType("omegaconf.dictconfig")


def weights(prefix="", **more):
    """A small state_dict, each with numbers of its own."""
    net = nn.Sequential(collections.OrderedDict(conv=nn.Conv2d(1, 2, 3), bn=nn.BatchNorm2d(2)))
    state = net.state_dict()
    return collections.OrderedDict({prefix + key: value for key, value in state.items()} | more)


def optimizer(kind=torch.optim.Adam, **options):
    net = nn.Linear(2, 3)
    result = kind(net.parameters(), lr=0.1, **options)
    net(torch.ones(1, 2)).sum().backward()
    result.step()
    return result


def scheduler(of):
    return torch.optim.lr_scheduler.StepLR(of, 2).state_dict()


class Ema:
    def __init__(self, module):
        self.ema, self.updates = module, 3


class CfgNode(dict):
    """As yacs has it: attributes beside the items."""

    def __init__(self, items):
        super().__init__(items)
        self.__dict__.update(__immutable__=False, __deprecated_keys__=set())


class DictConfig:
    def __init__(self, content):
        self.__dict__.update(_metadata={"flags": {}, "object_type": "dict"}, _parent=None, _flags_cache=None, _content={
            key: DictConfig(value) if isinstance(value, dict) else AnyNode(value) for key, value in content.items()})


class AnyNode:
    def __init__(self, value):
        self.__dict__.update(_metadata={"optional": True}, _parent=None, _flags_cache=None, _val=value)


for configuration in (DictConfig, AnyNode):
    configuration.__module__ = EMPTY.__name__
    setattr(EMPTY, configuration.__name__, configuration)
sys.modules["omegaconf"] = sys.modules[EMPTY.__name__] = EMPTY


def layouts():
    """(name, what is saved, what comes out: a state_dict, or the members to choose from)."""
    torch.manual_seed(9)
    s, e, more = weights(), weights(), weights()
    net = Net()
    adam = optimizer()
    opt, sgd, sch = adam.state_dict(), optimizer(torch.optim.SGD, momentum=0.9).state_dict(), scheduler(adam)
    loss, best, vector, table = torch.tensor(0.7), torch.tensor([3.5]), torch.randn(10), torch.randn(16, 4)
    rng, args, scaler = torch.get_rng_state()[:64], argparse.Namespace(lr=0.1, arch="resnet18"), torch.amp.GradScaler("cpu").state_dict()
    lightning = {"epoch": 3, "global_step": 90, "pytorch-lightning_version": "2.4.0", "state_dict": s, "optimizer_states": [opt], "lr_schedulers": [sch],
                 "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 3}}}}, "hparams_name": "kwargs",
                 "callbacks": {"ModelCheckpoint{'monitor': 'val_loss'}": {"best_model_score": loss, "best_k_models": {"a.ckpt": loss}, "kth_value": loss}},
                 "hyper_parameters": {"lr": 0.1}, "MixedPrecision": scaler}

    # A state_dict, and nothing around it.
    yield "hub", s, s
    yield "plain_dict", dict(s), s
    yield "data_parallel", weights("module."), ...
    yield "compiled", weights("_orig_mod."), ...
    yield "average", weights("module.", n_averaged=torch.tensor(7)), ...
    yield "keras_names", {"conv/kernel:0": table, "conv/bias:0": vector}, ...
    yield "one_layer", {"weight": table, "bias": vector}, ...
    yield "scale", {"logit_scale": loss, "embedding": table}, ...
    yield "with_numbers", {**s, "epoch": 4, "version": "1.2", "none": None}, s
    yield "with_extra_state", {**s, "fc._extra_state": {"scale": vector}}, s
    yield "with_optimizer", {**s, "optimizer": opt}, s
    yield "with_metrics", {**s, "metrics": {"loss": loss, "best": best}, "history": [loss, loss]}, s
    yield "with_average", {**s, "ema": e}, s
    yield "codebooks", {"codebook": table, "levels": [vector, table]}, {"codebook": table, "levels.0": vector, "levels.1": table}
    yield "momentum_encoder", {"momentum_buffer": table, "encoder.weight": vector}, ...
    yield "rope", {"tok_embeddings.weight": table, "rope.freqs": vector}, ...
    yield "numbers_alone", {"mean": loss, "std": best}, ...
    yield "nothing", {}, {}

    # One among other things.
    yield "imagenet_example", {"epoch": 3, "arch": "resnet18", "state_dict": (m := weights("module.")), "best_acc1": best, "optimizer": sgd, "scheduler": sch}, m
    yield "loss_beside", {"model_state": s, "loss": loss}, s
    yield "loss_and_optimizer", {"model_state": s, "optimizer_state": opt, "loss": loss}, s
    yield "resemblyzer", {"step": 1564501, "model_state": s, "optimizer_state": opt}, s
    yield "pytorch_tutorial", {"epoch": 5, "model_state_dict": s, "optimizer_state_dict": sgd, "loss": loss}, s
    yield "torchvision", {"model": s, "optimizer": sgd, "lr_scheduler": sch, "epoch": 3, "args": args, "scaler": scaler}, s
    yield "timm", {"epoch": 3, "arch": "resnet18", "state_dict": s, "optimizer": opt, "version": 2, "args": args, "amp_scaler": scaler, "metric": 71.5}, s
    yield "mmcv", {"meta": {"env_info": "x", "epoch": 12, "CLASSES": ["cat", "dog"]}, "state_dict": s, "optimizer": sgd}, s
    yield "mmcv_gan", {"meta": {"iter": 9}, "state_dict": s, "optimizer": {"generator": opt, "discriminator": sgd}}, s
    yield "detectron2", {"model": s, "optimizer": sgd, "scheduler": sch, "iteration": 9000, "trainer": {"iteration": 9000}}, s
    yield "fairseq", {"args": args, "cfg": None, "model": s, "criterion": {}, "optimizer_history": [{"num_updates": 9, "lr_scheduler_state": {"best": None}}],
                      "extra_state": {"train_iterator": {"epoch": 2}, "best": 3.5}, "last_optimizer_state": opt}, s
    yield "fairseq_hydra", {"args": None, "cfg": DictConfig({"model": {"layers": 12, "name": "wav2vec"}, "lr": 0.5}), "model": s, "last_optimizer_state": None}, s
    yield "fastai", {"model": s, "opt": opt}, s
    yield "lightning", lightning, s
    yield "lightning_omegaconf", {**lightning, "hyper_parameters": DictConfig({"optim": {"lr": 0.1, "sched": {"name": "cosine"}}, "layers": 3})}, s
    yield "latent_diffusion", {"epoch": 3, "global_step": 5, "state_dict": (m := weights("model.diffusion_model.")), "callbacks": {"x": {"best_model_score": loss}},
                               "optimizer_states": [opt, sgd], "lr_schedulers": []}, m
    yield "deepspeed", {"module": s, "buffer_names": ["bn.running_mean"], "optimizer": None, "param_shapes": [collections.OrderedDict(a=torch.Size([2, 3]))],
                        "lr_scheduler": sch, "ds_config": {"zero_optimization": {"stage": 2}}, "global_steps": 9, "dp_world_size": 2}, s
    yield "hifi_gan", {"generator": s}, s
    flat = {f"state.{key}.exp_avg": value.clone() for key, value in s.items()} | {"param_groups.conv.weight.lr": 0.1}
    yield "flat_optimizer", {"model": s, "optim": flat, "epoch": 3}, s
    yield "tacotron2", {"iteration": 9, "state_dict": s, "optimizer": opt, "learning_rate": 0.001}, s
    yield "vits", {"model": s, "iteration": 9, "optimizer": opt, "learning_rate": 0.001}, s
    yield "coqui", {"config": {"run": {"name": "x"}}, "model": s, "optimizer": [opt, sgd], "scaler": None, "step": 4, "epoch": 1, "date": "today", "model_loss": loss}, s
    yield "whisper", {"dims": {"n_mels": 80, "n_vocab": 51865}, "model_state_dict": s}, s
    yield "demucs", {"klass": Net, "args": (), "kwargs": {"sources": ["drums", "bass"]}, "state": s, "training_args": {"lr": 0.1}}, s
    yield "asteroid", {"model_name": "ConvTasNet", "model_args": {"n_src": 2}, "state_dict": s, "infos": {"software_versions": {"torch": "2"}}}, s
    yield "basicsr", {"params": s}, s
    yield "basicsr_ema", {"params_ema": s}, s
    yield "nano_gpt", {"model": (m := weights("_orig_mod.transformer.")), "optimizer": opt, "model_args": {"n_layer": 12}, "iter_num": 3, "best_val_loss": loss, "config": {}}, m
    yield "swin", {"model": s, "optimizer": opt, "lr_scheduler": sch, "max_accuracy": 81.2, "epoch": 3, "config": CfgNode({"DATA": CfgNode({"BATCH_SIZE": 128})})}, s
    yield "detr", {"model": s, "optimizer": opt, "lr_scheduler": sch, "epoch": 3, "args": args}, s
    yield "moco", {"epoch": 3, "arch": "vit", "state_dict": (m := weights("module.encoder_q.", **{"module.queue": table, "module.queue_ptr": torch.tensor([3])})), "optimizer": sgd}, m
    yield "open_clip", {"epoch": 3, "name": "run", "state_dict": s, "optimizer": opt, "scaler": scaler}, s
    yield "cifar_kuangliu", {"net": s, "acc": 95.1, "epoch": 199}, s
    yield "rsl_rl", {"model_state_dict": s, "optimizer_state_dict": opt, "iter": 9, "infos": None}, s
    yield "rl_games", {"model": s, "epoch": 5, "optimizer": opt, "frame": 99, "last_mean_rewards": -10.5, "env_state": None}, s
    yield "apex", {"model": s, "optimizer": opt, "amp": {"loss_scaler0": {"loss_scale": 65536.0, "unskipped": 3}}}, s
    yield "ignite", {"model": s, "optimizer": opt, "lr_scheduler": sch, "trainer": {"epoch_length": 9, "max_epochs": 3, "iteration": 4}}, s
    yield "catalyst", {"model_state_dict": s, "optimizer_state_dict": opt, "criterion_state_dict": {}, "epoch_metrics": {"train": {"loss": loss}}, "stage": "train"}, s
    yield "espnet", {"model": s, "reporter": {"epoch": 3, "stats": {3: {"train": {"loss": 0.5}}}}, "optimizers": [opt], "schedulers": [sch], "scaler": None}, s
    yield "epoch_tensor", {"state_dict": s, "epoch": torch.tensor(3), "optimizer": opt}, s
    yield "random_states", {"model": s, "torch_rng_state": rng, "cuda_rng_state": [rng, rng], "numpy_rng_state": ("MT19937", [1, 2], 3, 0, 0.0)}, s
    yield "optimizer_by_number", {"net_g": s, "optim": {0: {"step": loss, "exp_avg": table, "exp_avg_sq": table}, 1: {"exp_avg": vector, "exp_avg_sq": vector}}}, s
    yield "optimizer_by_name", {"net_g": s, "optim": {"conv.weight": {"exp_avg": table, "exp_avg_sq": table}, "conv.bias": {"momentum_buffer": vector}}}, s
    yield "optimizer_fsdp", {"weights": s, "optim": {"state": {"conv.weight": {"exp_avg": table, "step": loss}}, "param_groups": [{"lr": 0.1}]}}, s
    yield "optimizer_object", {"net": s, "optimizer": adam}, s
    yield "average_as_list", {"model": s, "ema": {"decay": 0.99, "num_updates": 4, "shadow_params": [vector, table]}}, s
    yield "average_named_best", {"last": s, "best": s}, s
    yield "two_deep", {"model": {"state_dict": s, "name": "x"}, "optimizer": opt}, s
    yield "average_two_deep", {"ema": {"model": s, "decay": 0.99}, "epoch": 4}, s
    yield "list_with_optimizer", [s, opt, 4], s
    yield "list_of_one", {"models": [s], "epoch": 4}, s

    # A module pickled whole.
    yield "module", net, net
    yield "data_parallel_module", nn.DataParallel(net), {"module." + key: value for key, value in net.state_dict().items()}
    yield "waveglow", {"model": net, "iteration": 9, "optimizer": opt, "learning_rate": 0.001}, net
    yield "yolov5", {"epoch": -1, "best_fitness": best, "model": net, "ema": None, "updates": None, "optimizer": None, "date": "today"}, net
    yield "yolov8", {"epoch": -1, "model": None, "ema": net, "train_args": {"imgsz": 640}, "train_metrics": {"fitness": 0.5}}, net
    yield "average_object", {"ema": Ema(net), "epoch": 3}, net

    # More than one: the choice is the caller's.
    yield "torchvision_ema", {"model": s, "model_ema": e, "optimizer": sgd, "epoch": 3}, ["model", "model_ema"]
    yield "timm_ema", {"epoch": 3, "arch": "resnet18", "state_dict": s, "optimizer": opt, "state_dict_ema": e, "metric": 71.5}, ["state_dict", "state_dict_ema"]
    yield "mmengine_ema", {"meta": {"epoch": 3}, "state_dict": s, "message_hub": {"log_scalars": {}}, "optimizer": opt, "ema_state_dict": e}, ["state_dict", "ema_state_dict"]
    yield "basicsr_both", {"params": s, "params_ema": e}, ["params", "params_ema"]
    yield "lightning_ema", {**lightning, "callbacks": {"EMA": {"ema_state_dict": e}}}, ["state_dict", "callbacks.EMA.ema_state_dict"]
    yield "lightning_class_weights", {**lightning, "hyper_parameters": {"class_weights": vector}}, ["state_dict", "hyper_parameters"]
    yield "yolov5_training", {"epoch": 3, "model": net, "ema": Net(), "updates": 4, "optimizer": opt}, ["model", "ema"]
    yield "stylegan2", {"g": s, "d": e, "g_ema": more, "g_optim": opt, "d_optim": opt, "args": args, "ada_aug_p": 0.2}, ["g", "d", "g_ema"]
    yield "stylegan2_converted", {"g_ema": s, "latent_avg": vector}, ["g_ema", "latent_avg"]
    yield "generator_and_discriminator", {"generator": s, "discriminator": e}, ["generator", "discriminator"]
    yield "hifi_gan_training", {"mpd": s, "msd": e, "optim_g": opt, "optim_d": opt, "steps": 4, "epoch": 1}, ["mpd", "msd"]
    yield "dino", {"student": s, "teacher": e, "optimizer": opt, "epoch": 3, "dino_loss": {"center": table}}, ["student", "teacher", "dino_loss"]
    yield "clean_rl", {"actor": s, "qf1": e, "qf2": more}, ["actor", "qf1", "qf2"]
    yield "rl_normalized", {"policy": s, "obs_rms": {"mean": vector, "var": vector, "count": 4}}, ["policy", "obs_rms"]
    yield "icefall", {"model": s, "model_avg": e, "optimizer": opt, "scheduler": sch, "grad_scaler": scaler, "batch_idx_train": 9}, ["model", "model_avg"]
    yield "super_gradients", {"net": s, "ema_net": e, "acc": loss, "epoch": 3}, ["net", "ema_net"]
    yield "center_loss", {"state_dict": s, "criterion": {"centers": table}, "optimizer": opt}, ["state_dict", "criterion"]
    yield "vector_quantized", {"encoder": s, "codebook": table, "epoch": 4}, ["encoder", "codebook"]
    yield "megatron", {"iteration": 9, "model": {"language_model": {"embedding": {"weight": table}, "encoder": (m := weights("layers.0."))}},
                       "rng_state": [{"torch_rng_state": rng, "cuda_rng_state": rng}], "optimizer": {"optimizer": opt}},\
        ["model.language_model.embedding", "model.language_model.encoder"]
    yield "list_of_two", {"models": [s, e]}, ["models.0", "models.1"]
    yield "tuple_of_two", (s, e), ["0", "1"]
    yield "dotted_keys", {"model.g": s, "model.d": e}, ["model.g", "model.d"]

    # None: what tensors there are lie elsewhere, and the choice is the caller's too.
    yield "optimizer_alone", opt, ["state"]
    yield "deepspeed_optimizer", {"optimizer_state_dict": {"zero_stage": 2, "base_optimizer_state": opt, "single_partition_of_fp32_groups": [vector]}, "ds_version": "0.15"}, ["optimizer_state_dict"]
    yield "basicsr_state", {"epoch": 3, "iter": 9, "optimizers": [opt], "schedulers": [sch]}, ["optimizers"]
    yield "loss_and_optimizer_alone", {"loss": loss, "epoch": 3, "optimizer": opt}, ["loss", "optimizer"]
    yield "metrics_alone", {"epoch": 3, "metrics": {"loss": loss}}, ["metrics"]
    yield "random_states_alone", {"cpu": rng, "cuda": [rng]}, ["cpu", "cuda"]
    yield "scheduler_alone", sch, None


def member(value, path):
    """The member under a path: one key, or several with dots."""
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    for key, inner in value.items():
        if str(key) == path:
            return inner
        if path.startswith(f"{key}."):
            return member(inner, path[len(str(key)) + 1:])


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    manifest = []
    for i, (name, value, expected) in enumerate(layouts()):
        old = {"_use_new_zipfile_serialization": False} if i % 3 == 1 or name == "resemblyzer" else {}
        with mock.patch("torch.serialization.location_tag", lambda storage: "cuda:0"):
            torch.save(value, folder / f"{name}.pt", **old)
        entry = {"file": f"{name}.pt"}
        if isinstance(expected, list):
            entry["candidates"] = [[at, len(tensors_of(member(value, at)))] for at in expected]
        elif expected is not None:
            entry["tensors"] = tensors_of(value if expected is ... else expected)
            entry["keys"] = list(entry["tensors"])
        manifest.append(entry)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    print(f"{len(manifest)} layouts in {folder}")


if __name__ == "__main__":
    main()
