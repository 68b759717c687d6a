"""Runs a certification script of the Matter SDK.

    run.py SDK SCRIPT ARGUMENT...

SDK is a checkout of connectedhomeip, of which the packages on PyPI have the
controller, but neither the scripts nor what these are built on.
"""
import os
import pathlib
import runpy
import sys

import chip

sdk = pathlib.Path(sys.argv[1])
scripts = sdk / "src/python_testing"
chip.__path__.append(str(scripts / "matter_testing_infrastructure/chip"))
sys.path[:0] = [str(scripts), str(scripts / "support_modules")]

from chip.testing import spec_parsing  # noqa: E402, only in the checkout


def data_model(version, level=spec_parsing.DataModelLevel.kCluster):
    """The checkout has as files what the SDK's own build packs up."""
    if not isinstance(version, spec_parsing.PrebuiltDataModelDirectory):
        return version
    return sdk / "data_model" / version.dirname / level.dirname


spec_parsing.get_data_model_directory = data_model

# Scripts find certificates by paths from the top of the SDK, and write to where they are.
for name in ("credentials", "src"):
    os.symlink(sdk / name, name)

sys.argv[:] = sys.argv[2:]
runpy.run_path(str(scripts / sys.argv[0]), run_name="__main__")
