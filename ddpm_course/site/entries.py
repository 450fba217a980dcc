"One entry of the reference: signature, parameters, what is raised, source; from the docstrings."

import ast
import inspect
import re
import tokenize
from functools import cache
from importlib import import_module

from .links import DEFINITIONS, PACKAGE, anchor, index, is_public, modules, target_of

EMPTY = inspect.Parameter.empty
REPOSITORY = f"{index['settings']['git_url'].rstrip('/')}/blob/{index['settings']['branch']}"


def plain(text):
    "A docstring as Markdown: what stands outside backticks means itself, and shapes stay whole."
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_$<>\[\]|#~^@])", r"\\\1", part)
                   for part in parts)


def cell_text(text):
    "The same in one cell of a table."
    return plain(" ".join(text.split()))


def type_name(annotation):
    "A type as one writes it; nothing for none, and nothing for the type of None."
    if annotation in (EMPTY, None, type(None)): return ""
    if isinstance(annotation, str): return annotation
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__name__
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=\w)", "", str(annotation))


def default_text(default):
    "A default as one writes it."
    if isinstance(default, (type, type(lambda: 0))): return default.__name__
    return re.sub(r" at 0x\w+", "", repr(default))


def parameter(p):
    "One parameter of a signature."
    stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
    kind = type_name(p.annotation)
    default = "" if p.default is EMPTY else default_text(p.default)
    if not default: return f"{stars}{p.name}" + f": {kind}" * bool(kind)
    return f"{p.name}: {kind} = {default}" if kind else f"{p.name}={default}"


def signature(name, thing):
    "The call, on one line where it fits the page and else one line a parameter."
    try: called = inspect.signature(thing)
    except (TypeError, ValueError): return name
    given = [p for p in called.parameters.values() if p.name != "self"]
    words = [parameter(p) for p in given]
    first = next((i for i, p in enumerate(given) if p.kind == p.KEYWORD_ONLY), None)
    if first is not None and not any(p.kind == p.VAR_POSITIONAL for p in given):
        words.insert(first, "*")
    back = type_name(called.return_annotation)
    end = f" -> {back}" if back and not inspect.isclass(thing) else ""
    line = f"{name}({', '.join(words)}){end}"
    if len(line) <= 84: return line
    return f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){end}"


def source(module):
    "The text of a module."
    return (PACKAGE / f"{module.replace('.', '/')}.py").read_text("utf-8")


@cache
def comments(module):
    "{line: comment} of a module's source."
    lines = iter(source(module).splitlines(keepends=True))
    tokens = tokenize.generate_tokens(lambda: next(lines, ""))
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def declared(node):
    "(name, line) of what a definition takes: arguments, or the fields of a class without __init__."
    if isinstance(node, ast.ClassDef):
        made = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        if made: return declared(made[0])
        return [(n.target.id, n.lineno) for n in node.body if isinstance(n, ast.AnnAssign)]
    given = [*node.args.posonlyargs, *node.args.args, node.args.vararg, *node.args.kwonlyargs,
             node.args.kwarg]
    return [(arg.arg, arg.lineno) for arg in given if arg and arg.arg != "self"]


def definitions(module, node, thing):
    "A definition, after that of the generator whose arguments a sampler takes over."
    taken = getattr(thing, "__delwrap__", None)
    same = [n for n in modules()[module].body if taken and getattr(n, "name", "") == taken.__name__]
    return [*same, node]


def parameters(module, nodes):
    "A table of the parameters, those of one line of the source together, with their comment."
    said = comments(module)
    groups = {}
    for name, line in (pair for node in nodes for pair in declared(node)):
        groups.setdefault(line, []).append(f"`{name}`")
    rows = [f"| {', '.join(names)} | {cell_text(said[line])} |"
            for line, names in groups.items() if line in said]
    return "\n".join(["| parameter | |", "|:---|:---|", *rows]) + "\n" if rows else ""


def message(node):
    "The text of an exception with its variable parts in braces, or None."
    if not (isinstance(node.exc, ast.Call) and node.exc.args): return None
    text = node.exc.args[0]
    if isinstance(text, ast.Constant): return str(text.value)
    if not isinstance(text, ast.JoinedStr): return None
    parts = (str(part.value) if isinstance(part, ast.Constant) else "…" for part in text.values)
    return "".join(parts)


def raised(node):
    "A line for each exception that a definition itself raises, with its message."
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call)]
    lines = [f"`{ast.unparse(n.exc.func)}`: {plain(' '.join(message(n).split()))}"
             for n in calls if message(n)]
    if any(ast.unparse(d).startswith(("checked", "explained")) for d in node.decorator_list):
        lines.append("`TypeError` or `ValueError` where an argument is not what its line says")
    return "".join(f"- Raises {line}\n" for line in dict.fromkeys(lines))


def source_link(module, node):
    "The lines of a definition in the repository."
    file = f"ddpm_course/{module.replace('.', '/')}.py"
    lines = f"L{node.lineno}-L{node.end_lineno}"
    return f"[source]({REPOSITORY}/{file}#{lines}){{.source-link}}"


def folded(module, node):
    "The source of a definition, folded."
    lines = source(module).splitlines()
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    code = "\n".join(lines[first - 1:node.end_lineno])
    return f"<details>\n<summary>Source</summary>\n\n```python\n{code}\n```\n\n</details>\n"


def entry(module, node, owner=None):
    "The Markdown of one function, class or method."
    home = owner or (target_of(node) if isinstance(node, ast.FunctionDef) else None)
    name = f"{home}.{node.name}" if home else node.name
    thing = import_module(f"ddpm_course.{module}")
    for part in name.split("."): thing = inspect.getattr_static(thing, part)
    thing = getattr(thing, "__func__", thing) # of a static or class method
    is_property = not callable(thing)
    call = name if is_property else signature(name, thing)
    table = parameters(module, definitions(module, node, thing))
    text = plain(inspect.cleandoc(ast.get_docstring(node) or ""))
    return re.sub(r"\n{3,}", "\n\n", "\n".join([
        f"{'###' if owner else '##'} {name} {{#{anchor(name)}}}\n", source_link(module, node),
        f"\n```python\n{call}\n```\n", text, "", "" if is_property else table,
        "" if isinstance(node, ast.ClassDef) else raised(node),
        "" if owner else folded(module, node)]))


def entries(module):
    "The entries of a module's public names; the methods of a class follow it."
    for node in (n for n in modules()[module].body if isinstance(n, DEFINITIONS)):
        if not is_public(node.name): continue
        yield entry(module, node)
        if not isinstance(node, ast.ClassDef): continue
        for method in (m for m in node.body if isinstance(m, ast.FunctionDef)):
            if is_public(method.name): yield entry(module, method, node.name)
