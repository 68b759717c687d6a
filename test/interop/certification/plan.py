"""Runs test plans in YAML against a device that nobody has commissioned; see run.py.

    run.py SDK .../plan.py --sdk SDK --code SETUPCODE --pics FILE --pipe FILE [--set NAME=VALUE]... PLAN@ENDPOINT...

The plans run one after the other on one fabric, each on an endpoint of its own. In the
values of settings {0} is the endpoint and {1} the one after it. What wants a hand at the
device is not run; that the device be restarted goes into the pipe. Prints each step, and for each plan "Plan NAME: ran R, failed F, skipped S, by hand H".
"""
import argparse
import asyncio
import json
import os
import pathlib
import sys
import tempfile
import time
import traceback

import matter.CertificateAuthority
import matter.native
from matter.ChipStack import ChipStack
from matter.storage import PersistentStorageJSON
from matter.yaml.runner import ReplTestRunner
from matter.yamltests.definitions import SpecDefinitionsFromPaths
from matter.yamltests.parser import PostProcessCheckStatus, TestParser, TestParserConfig

NODE = 0x12344321
RESTART = 10  # seconds: the device closes its sessions and is found again
PAUSE = float(os.environ.get("SOURCE_SECONDS", "0"))  # after each step


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("--sdk", type=pathlib.Path, required=True)
    p.add_argument("--code", required=True)
    p.add_argument("--pics", required=True)
    p.add_argument("--pipe", required=True)
    p.add_argument("--set", action="append", default=[])
    p.add_argument("plans", nargs="+")
    return p.parse_args()


def number(text):
    try:
        return int(text, 0)
    except ValueError:
        return text


async def run_step(a, runner, step):
    """Runs one step and returns what was wrong with it."""
    if step.cluster == "SystemCommands" and step.command == "Reboot":
        with open(a.pipe, "w") as pipe:
            print(json.dumps({"Name": "Reboot"}), file=pipe)
        await asyncio.sleep(RESTART)
        return []
    action = runner.encode(step)
    if action is None:
        return ["the runner cannot do this"]
    result = step.post_process_response(runner.decode(await runner.execute(action)))
    return [e.message for e in result.entries if e.state != PostProcessCheckStatus.SUCCESS]


async def run_plan(a, spec, authorities, controller, plan):
    """Runs one plan to its end; a step that fails ends it."""
    name, _, endpoint = plan.partition("@")
    config = {"nodeId": NODE, "endpoint": int(endpoint)}
    for s in a.set:
        key, _, value = s.partition("=")
        config[key] = number(value.format(int(endpoint), int(endpoint) + 1))
    path = a.sdk / f"src/app/tests/suites/certification/Test_{name}.yaml"
    plan = TestParser(str(path), TestParserConfig(a.pics, spec, config))
    runner = ReplTestRunner(spec, authorities, controller)
    ran = failed = skipped = hand = 0
    started = time.monotonic()
    for step in plan.tests:
        if not step.is_pics_enabled or not step.is_revision_condition_passed:
            skipped += 1
            print("  left out:", step.label)
            continue
        if step.cluster == "LogCommands" or step.command == "UserPrompt":
            hand += 1
            print("  by hand: ", step.label)
            continue
        ran += 1
        try:
            wrong = await run_step(a, runner, step)
        except Exception as e:  # whatever it is, it is a step that failed
            traceback.print_exc(file=sys.stdout)
            wrong = [repr(e)]
        await asyncio.sleep(PAUSE)
        print("  FAILED:  " if wrong else "  ok:      ", step.label, *wrong, flush=True)
        if wrong:
            failed += 1
            break
    print(f"Plan {name}: ran {ran}, failed {failed}, skipped {skipped}, by hand {hand}, seconds {time.monotonic() - started:.0f}", flush=True)


async def main():
    a = arguments()
    matter.native.Init()
    stack = ChipStack(PersistentStorageJSON(os.path.join(tempfile.mkdtemp(), "storage.json")))
    authorities = matter.CertificateAuthority.CertificateAuthorityManager(stack, stack.GetStorageManager())
    authorities.NewCertificateAuthority().NewFabricAdmin(vendorId=0xFFF1, fabricId=1)
    controller = authorities.activeCaList[0].adminList[0].NewController(
        paaTrustStorePath=str(a.sdk / "credentials/development/paa-root-certs"))
    await controller.CommissionWithCode(a.code, NODE)
    spec = SpecDefinitionsFromPaths([str(a.sdk / "src/app/zap-templates/zcl/data-model/chip/*.xml")])
    for plan in a.plans:
        await run_plan(a, spec, authorities, controller, plan)

try:
    asyncio.run(main())
except Exception:
    traceback.print_exc()
sys.stdout.flush()
os._exit(0)  # threads of the library would keep the process
