"""Switches many devices at once with the controller of the Matter SDK: all of them on one
session, and fifty on each of ten.

It runs as a certification script does, see run.py, against a bridge of on/off devices.
"""
import asyncio
import time

import matter.clusters as Clusters
from matter.clusters.Types import NullValue
from matter.interaction_model import Status
from matter.testing.decorators import async_test_body
from matter.testing.matter_testing import MatterBaseTest
from matter.testing.runner import default_matter_test_main
from mobly import asserts

AGGREGATOR = 1
LIMIT = 5  # seconds, for the answer to each command
SESSIONS = 10
OF_EACH = 50
FIRST_NODE = 0x10000


class Burst(MatterBaseTest):
    async def burst(self, controllers, endpoints, command):
        """Sends a command to each endpoint from each controller, and wants an answer to each."""
        async def switch(controller, endpoint):
            await controller.SendCommand(self.dut_node_id, endpoint, command)
            return time.monotonic() - started

        started = time.monotonic()
        results = await asyncio.gather(*(switch(c, e) for c in controllers for e in endpoints), return_exceptions=True)
        failed = [r for r in results if isinstance(r, BaseException)]
        asserts.assert_false(failed, f"{len(failed)} of {len(results)} failed, such as {failed[:3]}")
        asserts.assert_less(max(results), LIMIT, "the last answer")
        print(f"{len(results)} commands on {len(controllers)} sessions: the last answer after {max(results):.2f} s")

    @async_test_body
    async def test_burst(self):
        owner = self.default_controller
        endpoints = await self.read_single_attribute_check_success(
            endpoint=AGGREGATOR, cluster=Clusters.Descriptor, attribute=Clusters.Descriptor.Attributes.PartsList)
        await self.burst([owner], endpoints, Clusters.OnOff.Commands.On())

        everyone = Clusters.AccessControl.Structs.AccessControlEntryStruct(
            privilege=Clusters.AccessControl.Enums.AccessControlEntryPrivilegeEnum.kAdminister,
            authMode=Clusters.AccessControl.Enums.AccessControlEntryAuthModeEnum.kCase,
            subjects=NullValue, targets=NullValue)
        written = await owner.WriteAttribute(self.dut_node_id, [(0, Clusters.AccessControl.Attributes.Acl([everyone]))])
        asserts.assert_equal(written[0].Status, Status.Success, "access control")
        admin = self.certificate_authority_manager.activeCaList[0].adminList[0]
        paa = str(self.matter_test_config.paa_trust_store_path)
        controllers = [owner] + [admin.NewController(nodeId=FIRST_NODE + i, paaTrustStorePath=paa) for i in range(1, SESSIONS)]
        for c in controllers:
            await c.GetConnectedDevice(self.dut_node_id, allowPASE=False, timeoutMs=10000)
        await self.burst(controllers, endpoints[:OF_EACH], Clusters.OnOff.Commands.Off())


if __name__ == "__main__":
    default_matter_test_main()
