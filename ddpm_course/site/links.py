"Where each public name is explained on the site: what nbdev makes links of names in prose from."

import ast
from functools import cache
from pathlib import Path

from ddpm_course._modidx import d as index

PACKAGE = Path(__file__).parents[1]
UNLISTED = ("checks", "site", "weights") # answers to exercises, and what serves the site alone
DEFINITIONS = (ast.FunctionDef, ast.ClassDef)


@cache
def modules():
    "{name: syntax tree} of the modules that have a reference page: `ddim`, `experiments.tables`."
    files = (path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob("*.py")))
    return {".".join(file.with_suffix("").parts): ast.parse((PACKAGE / file).read_text("utf-8"))
            for file in files if file.parts[0] not in UNLISTED and file.name[0] != "_"}


def page(module):
    "The file name, without suffix, of a module's reference page."
    return "reference_" + module.replace(".", "_")


def anchor(name):
    "The anchor of `fit` or `NoiseSchedule.alpha_bar` on the page of its module."
    return name.lower()


def is_public(name):
    "Is this a name for others?"
    return not name.startswith("_")


def target_of(node):
    "The class that a function is patched into, or None."
    patched = any(ast.unparse(decorator) == "patch" for decorator in node.decorator_list)
    return ast.unparse(node.args.args[0].annotation) if patched else None


def public_names(tree):
    "The public functions, classes and methods of a module, as `name` or `Class.method`."
    for node in (node for node in tree.body if isinstance(node, DEFINITIONS)):
        if not is_public(node.name): continue
        home = target_of(node) if isinstance(node, ast.FunctionDef) else None
        yield f"{home}.{node.name}" if home else node.name
        if not isinstance(node, ast.ClassDef): continue
        methods = [m.name for m in node.body if isinstance(m, ast.FunctionDef)]
        yield from (f"{node.name}.{method}" for method in methods if is_public(method))


def common_words():
    """Words that are a parameter, an attribute or a module somewhere, or no name at all: in prose
    `start` means an argument more often than a function of that name."""
    words = {part for module in modules() for part in module.split(".")}
    for node in (node for tree in modules().values() for node in ast.walk(tree)):
        if isinstance(node, ast.arg): words.add(node.arg)
        if isinstance(node, ast.AnnAssign): words.add(ast.unparse(node.target))
    return {word for word in words if word.isalpha() and word.islower()}


def syms():
    "{module: {full name: (page#anchor, file)}} as nbdev keeps it."
    words = common_words()
    found = {}
    for module, tree in modules().items():
        file = f"ddpm_course/{module.replace('.', '/')}.py"
        found[f"ddpm_course.{module}"] = {
            f"ddpm_course.{module}.{name}": (f"{page(module)}.html#{anchor(name)}", file)
            for name in public_names(tree) if name not in words}
    return found


d = {"syms": syms(), "settings": index["settings"]}
