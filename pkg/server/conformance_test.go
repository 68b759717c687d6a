package server

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mdns"
)

var update = flag.Bool("update", false, "write docs/conformance.md")

const conformanceFile = "../../docs/conformance.md"

type mute struct{}

func (mute) Set([]mdns.Service)          {}
func (mute) Announced() bool             { return true }
func (mute) Discoverable() bool          { return true }
func (mute) Status() mdns.Status         { return mdns.Status{} }
func (mute) Close(context.Context) error { return nil }

// TestConformanceDocument compares docs/conformance.md with the metadata of the
// clusters. go test ./pkg/server -run Conformance -update writes it.
func TestConformanceDocument(t *testing.T) {
	var got string
	assembled(t, func(endpoints []im.Endpoint) { got = conformanceDocument(endpoints) })
	if *update {
		if err := os.WriteFile(conformanceFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(conformanceFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Error("docs/conformance.md is not what the code says: run go test ./pkg/server -run Conformance -update")
	}
}

func conformanceDocument(endpoints []im.Endpoint) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# What the node serves

Matter %d.%d.%d, data model revision %d. A test writes this file from the metadata in
the code. Access: R and W with the privilege (V view, O operate, M manage,
A administer), T needs a timed interaction, F fabric-scoped. Quality: N
non-volatile, X nullable, C changes omitted from reports. Another test compares the
metadata with the facts of the release in
[pkg/datamodel/data](../pkg/datamodel/data/README.md).

Notes on the tables:

- Provisional elements of the release are not served, as certification tests reject
  them: auxiliary access control, Groupcast, CacheAndSync of Group Key Management, network
  recovery, Joint Fabric.
- ConfigurationVersion grows when an endpoint or one of its elements is added or removed,
  and never at a restart. That of a bridged device grows when its own endpoint or its parts
  change.
- The SDK's certification scripts for a node like this one pass;
  [test/interop](../test/interop/README.md#certification) lists them and describes how to
  run them.
- SerialNumber is served if one is configured.
- A program that embeds the node can add endpoints beyond 1; see
  [embedding.md](embedding.md). The tables show what the node adds to them.
- Groups: neither device type of the node's own endpoints has the Groups cluster.
  MaxGroupsPerFabric is 0 until an endpoint with it is added, and 16 then. Messages
  to groups are received by multicast. The first counter of a sender is trusted.
- TestEventTrigger and PayloadTestRequest reject every key, as none is configured.
- Diagnostic Logs returns the newest lines of the log, without anything that identifies
  other fabrics. There are no crash logs and no BDX.
- Time Synchronization is not served. It is optional, and the host's clock serves its
  purpose: to check certificates and to date the log. The daemon cannot set that clock,
  which other programs use too, and a second clock would contradict it in the log. If the
  host's clock is not synchronized, no certificate counts as not valid yet, and one that
  ended before the program was built has expired. Commissioners skip the step if the
  cluster is missing. TimeSnapshot then contains only the time since the start.
`, matter.SpecificationVersion>>24, matter.SpecificationVersion>>16&0xFF, matter.SpecificationVersion>>8&0xFF, matter.DataModelRevision)
	for _, ep := range endpoints {
		if ep.ID < FirstEndpoint {
			fmt.Fprintf(&b, "\n## Endpoint %d\n", ep.ID)
		} else {
			b.WriteString("\n## A bridged device\n\nWith all optional information about the device.\n")
			ep.DeviceTypes = ep.DeviceTypes[1:]
		}
		for _, dt := range ep.DeviceTypes {
			fmt.Fprintf(&b, "\nDevice type 0x%04X.\n", uint32(dt))
		}
		for _, c := range ep.Clusters {
			describe(&b, c.Spec())
		}
	}
	return b.String()
}

func describe(b *strings.Builder, s *im.Spec) {
	fmt.Fprintf(b, "\n### 0x%04X %s, revision %d, features 0x%X\n\n| | id | name | access | quality |\n| --- | --- | --- | --- | --- |\n", uint32(s.ID), s.Name, s.Revision, s.Features)
	for _, a := range s.Attributes {
		access := ""
		if a.Read != 0 {
			access += "R" + letter(a.Read)
		}
		if a.Write != 0 {
			access += " W" + letter(a.Write)
		}
		fmt.Fprintf(b, "| attribute | 0x%04X | %s | %s | %s |\n", uint32(a.ID), a.Name, strings.TrimSpace(access+scope(a.Quality)), quality(a.Quality))
	}
	for _, c := range s.Commands {
		fmt.Fprintf(b, "| command | 0x%02X | %s | %s | |\n", uint32(c.ID), c.Name, strings.TrimSpace(letter(c.Privilege)+scope(c.Quality)))
	}
	for _, e := range s.Events {
		fmt.Fprintf(b, "| event | 0x%02X | %s | %s | |\n", uint32(e.ID), e.Name, strings.TrimSpace(letter(e.Read)+scope(e.Quality)))
	}
}

func letter(p matter.Privilege) string {
	return map[matter.Privilege]string{matter.PrivilegeView: "V", matter.PrivilegeOperate: "O", matter.PrivilegeManage: "M", matter.PrivilegeAdminister: "A"}[p]
}

func scope(q im.Quality) string {
	s := ""
	if q.Has(im.FabricScoped) {
		s += " F"
	}
	if q.Has(im.FabricSensitive) {
		s += " S"
	}
	if q.Has(im.Timed) {
		s += " T"
	}
	return s
}

func quality(q im.Quality) string {
	s := ""
	for _, k := range []struct {
		q im.Quality
		l string
	}{{im.NonVolatile, "N"}, {im.Nullable, "X"}, {im.ChangesOmitted, "C"}} {
		if q.Has(k.q) {
			s += k.l
		}
	}
	return s
}
