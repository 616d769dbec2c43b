"""Images as torchvision's and timm's presets prepare them for published weights."""

from . import torchvision_operators
from .options import fail


def of_torchvision(models, name, weights):
    """The preset, or None for a network that torchvision does not have."""
    if name not in models.list_models():
        return None
    known = models.get_model_weights(name)
    chosen = known.DEFAULT if weights == "DEFAULT" else known.__members__.get(weights)
    if chosen is None:
        fail("--preset", f"weights of {name}: DEFAULT, {', '.join(each.name for each in known)}", weights)
    return chosen.transforms()


def of_timm(name, weights):
    try:
        import timm
        from timm.data import create_transform, resolve_data_config
    except ImportError:
        return None
    if not timm.is_model_pretrained(name):
        return None
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{name}.*")]
    if weights != "DEFAULT" and weights not in tags:
        fail("--preset", f"weights of {name}: DEFAULT, {', '.join(tags)}", weights)
    full = name if weights == "DEFAULT" else f"{name}.{weights}"
    return create_transform(**resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(full).to_dict()))


def prepared(path, preset):
    """[1, 3, H, W] of the image. A preset is the name of a network, with :WEIGHTS if not for the default ones."""
    torchvision_operators.declare_where_missing()
    try:
        from PIL import Image
        from torchvision import models
    except ImportError as error:
        fail("--image", "torchvision and Pillow to prepare it by", error)
    name, _, weights = preset.partition(":")
    transforms = of_torchvision(models, name, weights or "DEFAULT") or of_timm(name, weights or "DEFAULT")
    if transforms is None:
        fail("--preset", "a network of torchvision or timm with published weights", name)
    try:
        with Image.open(path) as image:
            return transforms(image.convert("RGB"))[None]
    except Exception as error:  # Each format has its own.
        fail("--image", "an image that Pillow reads", f"{path}: {error}")
