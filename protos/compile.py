# ruff: noqa: INP001, T201 - a script, run by `make proto`; printing is its output
"""Compile the .proto files beside this script into `server/wire/descriptors.binpb`.

With `--check`, only say whether the checked-in file is what they compile to: exit 0 or 1.
The result has no comments, paths or times in it, so it is the same wherever it is made. It brings what
our files import of protobuf's own.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
WELL_KNOWN = Path(grpc_tools.__file__).with_name("_proto")
DESCRIPTORS = PROTOS.parent / "server" / "wire" / "descriptors.binpb"


def compiled() -> bytes:
    """Return all of `protos/` as one serialized FileDescriptorSet."""
    names = sorted(path.name for path in PROTOS.glob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "descriptors.binpb"
        folders = (f"-I{PROTOS}", f"-I{WELL_KNOWN}")
        code = protoc.main(["protoc", *folders, "--include_imports", f"--descriptor_set_out={out}", *names])
        if code != 0:
            sys.exit(f"protoc refused {names}; its message is above")
        return out.read_bytes()


def main() -> int:
    """Write the descriptors, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is stale")
    check = parser.parse_args().check
    fresh = compiled()
    if not check:
        DESCRIPTORS.write_bytes(fresh)
        return 0
    if not DESCRIPTORS.exists() or DESCRIPTORS.read_bytes() != fresh:
        print(f"{DESCRIPTORS} is not what protos/ compiles to; run: make proto", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
