"""Runs of an R block: what it is called with, what it prints, how it fails, and what becomes of its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from refold.errors import BlockError, BlockFileError, BlockTimeoutError, PipelineError
from refold.languages.r.block_file import RFile
from refold.languages.support import require_support
from refold.model.block import Block, BlockType, Language
from refold.model.keys import BlockUuid

Make = Callable[..., RFile]


def run(file: RFile, *inputs: object, **variables: object) -> object:
    return file.main.function(*inputs, **variables)


def gone(pid: int) -> bool:
    """Whether the process has ended; waits for it."""
    try:
        psutil.Process(pid).wait(30)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


@pytest.mark.parametrize(
    ("block_type", "code"),
    [
        (BlockType.DATA_LOADER, "load_data <- function() data.frame(n = 1:2)"),
        (BlockType.DATA_LOADER, "load_data = function(...) { data.frame(n = 1:2) }"),
        (BlockType.TRANSFORMER, "transform <- function(df_1, ...) data.frame(n = 1:2)"),
        (BlockType.DATA_EXPORTER, "(function(df_1) data.frame(n = 1:2)) -> export_data"),
    ],
)
def test_the_function_of_the_blocks_type_is_called(
    tmp_path: Path, make_file: Make, block_type: BlockType, code: str
) -> None:
    inputs = () if block_type is BlockType.DATA_LOADER else (1,)
    found = run(make_file(tmp_path, code, len(inputs), block_type), *inputs)
    assert found["n"].tolist() == [1, 2]  # type: ignore[index]


def test_each_upstream_is_an_argument_in_order(tmp_path: Path, make_file: Make) -> None:
    file = make_file(tmp_path, "transform <- function(a, b, ...) list(a$x, b, ...length())", 3)
    assert run(file, {"x": 1}, "second", 3) == [1, "second", 1]


def test_variables_are_in_global_vars_in_either_way_of_writing(tmp_path: Path, make_file: Make) -> None:
    code = """
    transform <- function(df_1, ...) list(
      global_vars['env'], global_vars$env, global_vars[['env']], paste0(global_vars['env'], '!'),
      global_vars['n'] + 1L, global_vars$nothing, global_vars['nothing'], class(global_vars$execution_date)[[1]],
      global_vars$configuration$key, names(global_vars[c('n', 'env')])
    )"""
    from datetime import datetime

    variables = {"env": "dev", "n": 2, "execution_date": datetime(2024, 1, 1), "configuration": {"key": "v"}}
    found = run(make_file(tmp_path, code), 1, **variables, logger=object())
    assert found == ["dev", "dev", "dev", "dev!", 3, None, None, "POSIXct", "v", ["n", "env"]]


def test_one_process_serves_run_after_run_and_another_block_has_its_own(tmp_path: Path, make_file: Make) -> None:
    file, other = (make_file(tmp_path, "transform <- function(x) Sys.getpid()") for _ in range(2))
    assert run(file, 1) == run(file, 2)
    assert run(other, 1) != run(file, 1)


def test_what_it_prints_is_printed_here_before_the_run_is_over(
    tmp_path: Path, make_file: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    code = """transform <- function(x) {
      print("one"); cat("two, without an end"); message("three é"); warning("four"); system("echo five"); x
    }"""
    run(make_file(tmp_path, code), 1)
    printed = capfd.readouterr()
    assert printed.out == '[1] "one"\ntwo, without an endfive\n'
    assert "three é\n" in printed.err
    assert "Warning in transform(df_1) : four\n" in printed.err


def test_more_than_a_pipe_holds_can_be_printed_and_passed(
    tmp_path: Path, make_file: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    text = "é" * 300_000
    file = make_file(tmp_path, "print('loaded'); transform <- function(x) { cat(x); message(x); x }")
    assert run(file, text) == text
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == (f'[1] "loaded"\n{text}\n', f"{text}\n")


def test_an_error_tells_what_r_said_the_call_and_the_line(
    tmp_path: Path, make_file: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "inner <- function(y) {\n  z <- 1\n  z + y\n}\ntransform <- function(df_1, ...) {\n  inner(df_1$name)\n}\n"
    file = make_file(tmp_path, code)
    with pytest.raises(BlockError) as caught:
        run(file, {"name": "x"})
    assert caught.value.message == "non-numeric argument to binary operator (in `z + y`, block.r:3)"
    assert caught.value.where == f"{tmp_path / 'block.r'}:3"
    assert "inner(df_1$name) at line 6" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("stop('no such user')", r"no such user \(in `transform\(df_1\)`, block\.r:1\)"),
        ("stop('two\\nlines', call. = FALSE)", r"two lines \(block\.r:1\)"),
        ("nowhere", "object 'nowhere' not found"),
        ("tryCatch(stop('inner'), error = function(e) stop('outer'))", "outer"),
        ("{ f <- function(n) f(n + 1); f(1) }", "(infinite recursion|nested too deeply|stack usage)"),
        ("stop(structure(class = c('own', 'error', 'condition'), list(message = 'own', call = NULL)))", "own"),
        ("{ options(warn = 2); warning('as an error') }", "as an error"),
    ],
)
def test_an_error_fails_its_run_and_the_process_goes_on(tmp_path: Path, make_file: Make, body: str, said: str) -> None:
    file = make_file(tmp_path, f"transform <- function(x) if (x$fail) {body} else Sys.getpid()")
    before = run(file, {"fail": False})
    with pytest.raises(BlockError, match=said):
        run(file, {"fail": True})
    assert run(file, {"fail": False}) == before


def test_an_error_that_the_block_handles_is_none(tmp_path: Path, make_file: Make) -> None:
    code = "transform <- function(x) tryCatch(stop('a'), error = function(e) conditionMessage(e))"
    assert run(make_file(tmp_path, code), 1) == "a"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("quit(status = 3)", r"R ended with exit status 3 before .* returned; its last words: \"farewell\""),
        ("quit()", r"exit status 0 \(a call of `quit\(\)`\?\)"),
        ("tools::pskill(Sys.getpid(), 9)", "R was ended by SIGKILL"),
        ("tools::pskill(Sys.getpid(), 11)", "R was ended by SIGSEGV"),
        ("{ system('sleep 1000 &'); quit(status = 4) }", "exit status 4"),
    ],
)
def test_a_process_that_ends_fails_its_run_alone(tmp_path: Path, make_file: Make, body: str, said: str) -> None:
    code = f"transform <- function(x) if (x$end) {{ message('farewell'); {body} }} else Sys.getpid()"
    file = make_file(tmp_path, code)
    before = run(file, {"end": False})
    with pytest.raises(BlockError, match=said):
        run(file, {"end": True})
    assert run(file, {"end": False}) != before


def test_what_interrupts_the_wait_kills_r_and_the_next_run_has_a_new_one(tmp_path: Path, make_file: Make) -> None:
    code = """transform <- function(x) {
      if (x$wait) {
        writeLines(as.character(Sys.getpid()), "pid.part"); file.rename("pid.part", "pid"); Sys.sleep(1000)
      }
      Sys.getpid()
    }"""
    file = make_file(tmp_path, code)

    class Interruption(BaseException):
        pass

    def interrupt(_number: int, _frame: object) -> None:
        raise Interruption

    def send() -> None:
        while not (tmp_path / "pid").exists():
            os.sched_yield()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    sender = threading.Thread(target=send)
    try:
        sender.start()
        with pytest.raises(Interruption):
            run(file, {"wait": True})
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    killed = int((tmp_path / "pid").read_text())
    assert gone(killed)
    assert run(file, {"wait": False}) != killed


def test_a_thread_that_nobody_can_interrupt_kills_r_at_its_timeout(tmp_path: Path, make_file: Make) -> None:
    file = make_file(tmp_path, "transform <- function(x) Sys.sleep(1000)", timeout=0.01)
    with pytest.raises(BlockTimeoutError, match=r"ran longer than its timeout of 0\.01 seconds"):
        run(file, 1)


def test_threads_have_a_process_each(tmp_path: Path, make_file: Make) -> None:
    """Each writes its name and waits for the other's: one process alone would wait for ever."""
    code = """transform <- function(x) {
      file.create(x$mine); while (!file.exists(x$other)) Sys.sleep(0.005); Sys.getpid()
    }"""
    file = make_file(tmp_path, code, timeout=60)
    found: list[object] = []
    names = ("a", "b"), ("b", "a")
    threads = [
        threading.Thread(target=lambda m=m, o=o: found.append(run(file, {"mine": m, "other": o}))) for m, o in names
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(found)) == 2


def test_the_process_ends_with_the_file_that_it_served(tmp_path: Path, make_file: Make) -> None:
    file = make_file(tmp_path, "transform <- function(x) Sys.getpid()")
    pid = run(file, 1)
    file.close()
    assert gone(int(str(pid)))


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "sys.exit()"])
def test_r_and_what_it_has_started_end_with_the_process_that_asked_however_that_ends(
    tmp_path: Path, make_file: Make, end: str
) -> None:
    del make_file  # R is there
    asking = f"""
        import os, sys, threading
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from conftest import _file
        code = '''transform <- function(x) {{
          child <- system("sleep 1000 > /dev/null & echo $!", intern = TRUE)
          writeLines(c(as.character(Sys.getpid()), child), "pids.part"); file.rename("pids.part", "pids")
          Sys.sleep(1000)
        }}'''
        file = _file(Path({str(tmp_path)!r}), code)
        threading.Thread(target=file.main.function, args=(1,), daemon=True).start()
        while not Path({str(tmp_path / "pids")!r}).exists():
            os.sched_yield()
        {end}
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(asking)], check=False, timeout=60, stdin=subprocess.DEVNULL)
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_a_process_that_a_block_forks_does_not_keep_r_alive(tmp_path: Path, make_file: Make) -> None:
    file = make_file(tmp_path, "transform <- function(x) Sys.getpid()")
    pid = int(str(run(file, 1)))
    waits, ends = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ends)
        os.read(waits, 1)
        os._exit(0)
    os.close(waits)
    try:
        assert run(file, 1) == pid
        file.close()
        assert gone(pid)
    finally:
        os.close(ends)
        os.waitpid(child, 0)


@pytest.mark.parametrize(
    ("code", "said", "line"),
    [
        ("transform <- function(x) {\n  x +* 1\n}", r"syntax error: unexpected '\*'", 2),
        ("x <- 1\nlibrary(no.such.package)\ntransform <- function(x) x", "there is no package called .*install", 2),
        ("f <- function() {\n  stop('at once')\n}\nf()\ntransform <- identity", "at once", 2),
        ("y <- nowhere\ntransform <- function(x) x", "object 'nowhere' not found", 1),
        ("load_data <- function() 1", r"does not define the function `transform`; it defines `load_data`", None),
        ("transform <- 1", r"does not define the function `transform`; it defines no functions at all", None),
    ],
)
def test_a_file_that_cannot_be_loaded_says_why_and_where(
    tmp_path: Path, make_file: Make, code: str, said: str, line: int | None
) -> None:
    file = make_file(tmp_path, code)
    for _ in range(2):
        with pytest.raises(BlockFileError) as caught:
            run(file, 1)
        path = tmp_path / "block.r"
        assert caught.value.where == (f"{path}:{line}" if line else str(path))
        import re

        assert re.search(said, str(caught.value), re.DOTALL), str(caught.value)


def test_too_many_upstreams_are_told_by_the_functions_parameters(tmp_path: Path, make_file: Make) -> None:
    file = make_file(tmp_path, "transform <- function(df_1) df_1", 2)
    with pytest.raises(BlockError, match=r"`transform` takes 1 argument, and 2 would have been passed"):
        run(file, 1, 2)


def test_the_files_text_is_that_of_the_runs_beginning_and_its_folder_the_projects(
    tmp_path: Path, make_file: Make
) -> None:
    file = make_file(tmp_path, "transform <- function(x) paste(getwd(), 'ü', nchar('ü'))")
    (tmp_path / "block.r").write_text("transform <- function(x) 'another'")
    assert run(file, 1) == f"{tmp_path} ü 1"


def test_a_block_that_diverts_or_clears_everything_does_not_disturb_the_next_run(
    tmp_path: Path, make_file: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    code = """transform <- function(x) {
      if (x$first) {
        sink("elsewhere"); print("unseen"); rm(list = setdiff(ls(globalenv()), "transform"), envir = globalenv())
      }
      print("seen"); x$first
    }"""
    file = make_file(tmp_path, code)
    assert run(file, {"first": True}) is True
    assert capfd.readouterr().out == ""
    assert run(file, {"first": False}) is False
    assert capfd.readouterr().out == '[1] "seen"\n'


def block(tmp_path: Path, code: str | None) -> Block:
    file = tmp_path / "clean.r"
    if code is not None:
        file.write_text(code)
    return Block(BlockUuid("clean"), "clean", BlockType.TRANSFORMER, Language.R, file)


@pytest.mark.parametrize(
    "code",
    ["transform <- function(df_1) df_1", "source('elsewhere.R')", "x <- 'a # b'; transform = 1", None],
)
def test_a_file_that_may_define_its_function_is_not_refused_before_the_run(
    tmp_path: Path, make_file: Make, code: str | None
) -> None:
    del make_file
    require_support(block(tmp_path, code))


@pytest.mark.parametrize("code", ["", "load_data <- function() 1", "# transform", "my_transform <- 'transform'"])
def test_a_file_that_lacks_its_function_is_refused_before_anything_starts(
    tmp_path: Path, make_file: Make, code: str
) -> None:
    del make_file
    with pytest.raises(PipelineError, match="block `clean` does not define `transform`, which a transformer runs"):
        require_support(block(tmp_path, code))


def test_without_r_a_block_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PipelineError, match=r"block `clean`: R is not installed here.*`Rscript`"):
        require_support(block(tmp_path, "transform <- function(df_1) df_1"))
