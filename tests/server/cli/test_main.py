import subprocess
import sys
from pathlib import Path

import pytest

from server.cli.main import COMMANDS, application

HEAVY = ("tensorflow", "onnxruntime", "scipy", "numpy", "grpc", "pyarrow")


def run(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unisono", *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, cwd=folder, env=environment or None
    )


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)])
def test_help_imports_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    script = (
        "import sys, contextlib\n"
        "from server.cli.main import application\n"
        f"with contextlib.suppress(SystemExit): application()({[*words, '--help']!r})\n"
        f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.splitlines()[0].startswith("Usage: unisono")
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_every_command_is_listed_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    application()(["--help"])
    listed = capsys.readouterr().out
    assert all(f" {name} " in listed for name in COMMANDS)


def test_an_error_is_one_line_on_standard_error_and_exit_code_one(tmp_path: Path) -> None:
    done = run("inspect", "no [bold]name[/bold]", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ensemble name 'no [bold]name[/bold]' can't be used")


def test_an_unknown_option_ends_with_exit_code_one(tmp_path: Path) -> None:
    assert run("list", "--nonsense", folder=tmp_path).returncode == 1


def test_settings_come_from_flag_then_environment_then_file(tmp_path: Path) -> None:
    """A wrong value is refused with its value: so it shows where the value came from."""
    (tmp_path / "unisono.toml").write_text("[serve]\nmax-batch-size = -1\nthreads = -9\n")
    path = str(Path(sys.executable).parent)
    from_file = run("serve", folder=tmp_path)
    from_environment = run("serve", folder=tmp_path, UNISONO_SERVE_MAX_BATCH_SIZE="-2", PATH=path)
    from_flag = run(
        *("serve", "--max-batch-size", "-3"), folder=tmp_path, UNISONO_SERVE_MAX_BATCH_SIZE="-2", PATH=path
    )
    assert "--max-batch-size is -1" in from_file.stderr
    assert "--max-batch-size is -2" in from_environment.stderr
    assert "--max-batch-size is -3" in from_flag.stderr
    assert all("--threads is -9" in done.stderr for done in (from_file, from_environment, from_flag))


def test_a_config_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    done = run("serve", folder=tmp_path, UNISONO_CONFIG="nowhere.toml")
    assert done.returncode == 1
    assert "nowhere.toml" in done.stderr + done.stdout
