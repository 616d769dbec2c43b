"""What a page cannot say of a module's parts and modes: found before it is traced."""

from .refused import Refused
from .specs import Specs


def shared(module):
    """The path of each module with weights that stands in another module too, or twice in a list, and its first path."""
    paths, parents = {}, {"": module}
    for path, m in module.named_modules(remove_duplicate=False):
        parents[path] = m
        first = paths.setdefault(id(m), path)
        if first == path or not [*m.parameters(), *m.buffers()]:
            continue
        parent, other = (parents[where.rpartition(".")[0]] for where in (path, first))
        if paths[id(parent)] != path.rpartition(".")[0]:  # in a module that is shared itself
            continue
        if parent is not other or Specs.is_list(parent):  # A struct registers what has two names in it twice.
            yield path, first


def check_mode(module, training):
    """A page's train() and eval() reach everything in it."""
    for path, m in module.named_modules():
        if m.training != training:
            mode = "eval mode" if training else "training"
            raise Refused(type(m), path, f"it stays in {mode} when the module is told otherwise")


def check_constants(module, constants):
    """A tensor that is an attribute of a module is one of its weights, unless forward changes it."""
    for path, m in module.named_modules():
        for name, (tensor, version) in constants.get(id(m), {}).items():
            if getattr(m, name, None) is not tensor or tensor._version != version:
                raise Refused(type(m), path, f"its tensor '{name}', which forward changes, is no buffer")
