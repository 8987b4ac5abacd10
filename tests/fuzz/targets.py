"""All targets, by name."""

from collections.abc import Mapping

from tests.fuzz.file_targets import file_targets, hdf5_target
from tests.fuzz.http2_script_target import http2_script_target
from tests.fuzz.http2_target import http2_target
from tests.fuzz.target import Target
from tests.fuzz.wire_targets import wire_targets


def targets() -> Mapping[str, Target]:
    """Make them all."""
    made = [*wire_targets(), http2_target(), http2_script_target(), *file_targets(), hdf5_target()]
    return {target.name: target for target in made}
