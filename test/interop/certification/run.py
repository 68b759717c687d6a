"""Runs a certification script of the Matter SDK.

    run.py SDK SCRIPT ARGUMENT...

SCRIPT is a name below src/python_testing, or a path: plan.py beside this one runs plans in
YAML. SDK is a checkout of connectedhomeip at Matter 1.6, of which the scripts, what they are
built on and the Python of the controller are taken. The controller's native library is not
in a checkout: it is that of the package home-assistant-chip-core, which is a year older.
What has been added to the library's interface since is made up for here where a script can
do without, and fails by name where one cannot.

The device is a bridge, so that its test brings about what happens at bridged devices: what
scripts ask of the example applications by test event triggers goes into the same pipe as
the rest (--app-pipe). SOURCE_SECONDS in the environment is how long to wait after each
command and write, for a device that does what it is asked to and says so a moment later.
"""
import asyncio
import ctypes
import enum
import os
import pathlib
import runpy
import sys
import time
import traceback

import chip  # the package, for where its library is

sdk = pathlib.Path(sys.argv[1])
scripts = sdk / "src/python_testing"
sys.path[:0] = map(str, (
    scripts, scripts / "support_modules", scripts / "test_testing",
    scripts / "matter_testing_infrastructure", sdk / "src/controller/python",
    sdk / "scripts/py_matter_yamltests", sdk / "scripts/py_matter_idl",
))

import matter.native as native  # noqa: E402, only in the checkout

LIBRARY = str(pathlib.Path(chip.__path__[0]) / "_ChipDeviceCtrl.so")

# Functions that the library does not have and that only prepare for something, or clean
# up after it: it is as well if they do nothing.
NOTHING = (
    "pychip_Bdx_Shutdown",
    "pychip_ScriptDevicePairingDelegate_SetCommissioningStageStartCallback",
    "pychip_WebRTCTransportRequestor_Init",
    "pychip_WebRTCTransportRequestor_InitCallbacks",
    "pychip_WebRTCTransportRequestor_Shutdown",
)

STOP_PAIRING = "pychip_DeviceController_StopPairing"

# Functions with the number of a stage of commissioning, and the one stage that has come in
# between those that scripts for this node name.
STAGES = (
    "pychip_SetTestCommissionerPrematureCompleteAfter",
    "pychip_SetTestCommissionerSimulateFailureOnReport",
    "pychip_SetTestCommissionerSimulateFailureOnStage",
    "pychip_TestCommissioningStageSuccessful",
)
NEW_STAGE = 14


class Absent:
    """Stands for a function of the library that is not there."""

    def __init__(self, name, instead):
        self.name, self.instead = name, instead

    def __call__(self, *args):
        if self.instead:
            return self.instead(*args)
        if self.name in NOTHING:
            return native.PyChipError.from_code(0)
        raise NotImplementedError(f"{self.name} is not in the controller's library")


class Stage:
    """A function of the library with the numbers of stages that it knows."""

    def __init__(self, function):
        object.__setattr__(self, "function", function)

    def __setattr__(self, name, value):
        setattr(self.function, name, value)  # types of arguments and result

    def __call__(self, stage):
        if stage == NEW_STAGE:
            raise NotImplementedError("the controller's library does not know that stage of commissioning")
        return self.function(stage - (stage > NEW_STAGE))


class Outcome(ctypes.Structure):
    """CHIP_ERROR as C++ returns it: a code, and where it comes from."""

    _fields_ = [("code", ctypes.c_uint32), ("origin", ctypes.c_uint64 * 3)]


def stop_pairing(library):
    """What the library's interface does not offer, the class behind it does."""
    method = library["_ZN4chip10Controller18DeviceCommissioner11StopPairingEm"]
    method.argtypes, method.restype = (ctypes.c_void_p, ctypes.c_uint64), Outcome
    return lambda commissioner, node: native.PyChipError.from_code(method(commissioner, node).code)


class Library(ctypes.CDLL):
    """The controller's library, with the functions that it does not have."""

    def __getitem__(self, name):
        try:
            function = super().__getitem__(name)
        except AttributeError:
            if not str(name).startswith("pychip_"):
                raise
            return Absent(name, stop_pairing(self) if name == STOP_PAIRING else None)
        return Stage(function) if name in STAGES else function


# The modules of the controller open the library each for itself.
ctypes.CDLL = Library
native.FindNativeLibraryPath = lambda _: LIBRARY

from matter import ChipDeviceCtrl, fault_injection  # noqa: E402
from matter.clusters import Attribute  # noqa: E402
from matter.clusters.Objects import GeneralDiagnostics  # noqa: E402
from matter.testing import credentials, spec_parsing  # noqa: E402
from matter.testing.matter_testing import MatterBaseTest  # noqa: E402

# New faults are at the end of the list, which has to be as long as the library's.
faults = Library(LIBRARY).pychip_faultinjection_get_num_faults()
fault_injection.CHIPFaultId = enum.IntEnum("CHIPFaultId", {f.name: f.value for f in fault_injection.CHIPFaultId if f < faults})

write_attributes = Attribute.WriteAttributes


def write(*args, **kwargs):
    """The library does not look at this argument, which changes how lists are written."""
    if kwargs.get("forceLegacyListEncoding"):
        raise NotImplementedError("the controller's library writes lists in one way")
    return write_attributes(*args, **kwargs)


Attribute.WriteAttributes = write


def data_model(version, level=spec_parsing.DataModelLevel.kCluster):
    """A checkout has as files what the SDK's own build packs up."""
    if isinstance(version, spec_parsing.PrebuiltDataModelDirectory):
        return sdk / "data_model" / version.dirname / level.dirname
    return version


def certificates(source, purpose):
    """The same for certificates."""
    if isinstance(source, credentials.CredentialSource):
        return sdk / "credentials" / source.dirname / purpose.dirname
    return source


spec_parsing.get_data_model_directory = data_model
credentials._get_credentials = certificates

async def trigger(test, eventTrigger, enableKey=None):
    """A test event trigger, as a line in the pipe."""
    test.write_to_app_pipe({"Name": "EventTrigger", "EventTrigger": f"{eventTrigger:#018x}"})
    await asyncio.sleep(pause)


async def triggers_enabled(test):
    """With a pipe they are."""


read_attribute = MatterBaseTest.read_single_attribute_check_success


async def read(test, *args, **kwargs):
    """The same for scripts that look themselves."""
    if kwargs.get("attribute") is GeneralDiagnostics.Attributes.TestEventTriggersEnabled and test.matter_test_config.pipe_name:
        return True
    return await read_attribute(test, *args, **kwargs)


pause = float(os.environ.get("SOURCE_SECONDS", "0"))
send_command = ChipDeviceCtrl.ChipDeviceControllerBase.SendCommand


write_to_pipe = MatterBaseTest.write_to_app_pipe


def to_pipe(*args, **kwargs):
    """A line in the pipe, and a moment until it has come about."""
    write_to_pipe(*args, **kwargs)
    time.sleep(pause)


write_attribute = ChipDeviceCtrl.ChipDeviceControllerBase.WriteAttribute


async def write_one(*args, **kwargs):
    """WriteAttribute, and a moment until its reports have come, which some scripts count
    right away, while they may still arrive."""
    result = await write_attribute(*args, **kwargs)
    await asyncio.sleep(pause)
    return result


async def send(*args, **kwargs):
    """SendCommand, and a moment for the device behind the bridge."""
    result = await send_command(*args, **kwargs)
    await asyncio.sleep(pause)
    return result


request_reboot = MatterBaseTest.request_device_reboot
RESTART = 10  # seconds: the device closes its sessions and is found again


async def reboot(test):
    """A restart of the device, as a line in the pipe."""
    if not test.matter_test_config.pipe_name:
        return await request_reboot(test)
    write_to_pipe(test, {"Name": "Reboot"})
    await asyncio.sleep(RESTART)
    test._expire_sessions_on_all_controllers()


init_subclass = MatterBaseTest.__init_subclass__.__func__


def take_endpoint(script, **kwargs):
    """The endpoint of the device, for a script that has a number in place of --endpoint."""
    init_subclass(script, **kwargs)
    if "_COLORCONTROL_ENDPOINT" in vars(script):
        script._COLORCONTROL_ENDPOINT = int(sys.argv[sys.argv.index("--endpoint") + 1])


MatterBaseTest.__init_subclass__ = classmethod(take_endpoint)
MatterBaseTest.request_device_reboot = reboot
MatterBaseTest.write_to_app_pipe = to_pipe
MatterBaseTest.send_test_event_triggers = trigger
MatterBaseTest.check_test_event_triggers_enabled = triggers_enabled
MatterBaseTest.read_single_attribute_check_success = read
ChipDeviceCtrl.ChipDeviceControllerBase.SendCommand = send
ChipDeviceCtrl.ChipDeviceControllerBase.WriteAttribute = write_one

# Scripts find files by paths from the top of the SDK, and write to where they are.
for name in ("credentials", "data_model", "src"):
    os.symlink(sdk / name, name)

sys.argv[:] = sys.argv[2:]
script = scripts / sys.argv[0]  # a path stays what it is
if not script.exists():
    script = scripts / "test_testing" / sys.argv[0]
try:
    runpy.run_path(str(script), run_name="__main__")
except Exception:
    # A thread of the library would keep the process.
    traceback.print_exc()
    sys.stdout.flush()
    os._exit(1)
