"""Python's lambdas in a template's expressions, for which Jinja has no words: each is compiled, and has a name."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import cast

from refold.errors import BlockFileError

Function = Callable[..., object]
_OPENINGS = re.compile(r"\{%-?\+?\s*raw\b.*?\{%-?\+?\s*endraw\b|\{#.*?#\}|(?P<open>\{[{%])", re.DOTALL)
_CLOSES = {"{{": "}}", "{%": "%}"}
_BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_STRING = re.compile(r"('''|\"\"\").*?(?:(?<!\\)\1|\Z)|'(?:[^'\\]|\\.)*(?:'|\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\Z)", re.DOTALL)
_WORD = re.compile(r"\w+")


def without_lambdas(text: str, path: str) -> tuple[str, Mapping[str, Function]]:
    """The template with a name in the place of each lambda, and what the names stand for; lines stay where they are.

    Raises BlockFileError, with the line, for a lambda that is not Python.
    """
    parts: list[str] = []
    found: dict[str, Function] = {}
    at = 0
    for start, end in _lambdas(text, path):
        name = f"_lambda_{len(found) + 1}"
        found[name] = _compiled(text[start:end], path, text.count("\n", 0, start))
        parts += (text[at:start], name, "\n" * text.count("\n", start, end))
        at = end
    return "".join((*parts, text[at:])), found


def _lambdas(text: str, path: str) -> list[tuple[int, int]]:
    """Where each begins and ends."""
    found: list[tuple[int, int]] = []
    opening = _OPENINGS.search(text)
    while opening is not None:
        at = opening.end()
        if opening["open"]:
            close = _CLOSES[opening["open"]]
            depth = 0
            while at < len(text) and not (depth == 0 and text.startswith(close, at)):
                if string := _STRING.match(text, at):
                    at = string.end()
                elif word := _WORD.match(text, at):
                    at = word.end()
                    if word[0] == "lambda":
                        at = _end(text, word.start(), path)
                        found.append((word.start(), at))
                else:
                    depth += _BRACKETS.get(text[at], 0)
                    at += 1
        opening = _OPENINGS.search(text, at)
    return found


def _end(text: str, start: int, path: str) -> int:
    """Where the lambda that begins here ends: at the first comma or bracket that leaves Python before it."""
    depth, at = 0, start
    while at < len(text):
        if string := _STRING.match(text, at):
            at = string.end()
            continue
        sign = text[at]
        if depth == 0 and (sign in ",)]}" or text.startswith("%}", at)):
            if _parsed(text[start:at]) is not None:
                return at
            if sign != ",":
                break
        depth += _BRACKETS.get(sign, 0)
        at += 1
    line = text.count("\n", 0, start) + 1
    raise BlockFileError(
        f"a lambda that is not Python: `{' '.join(text[start:at].split())}`",
        where=f"{path}:{line}",
        fix='Write it as in Python: `{{ block_output("uuid", parse=lambda data, vars: data["column"]) }}`.',
    )


def _parsed(code: str) -> ast.Expression | None:
    try:
        tree = ast.parse(f"({code})", mode="eval")
    except (SyntaxError, ValueError):
        return None
    return tree if isinstance(tree.body, ast.Lambda) else None


def _compiled(code: str, path: str, lines_before: int) -> Function:
    tree = _parsed(code)
    assert tree is not None  # _end has seen to it
    ast.increment_lineno(tree, lines_before)
    # The file is its author's program, as a Python block is: what it may do is not held back.
    return cast("Function", eval(compile(tree, path, "eval"), {}))
