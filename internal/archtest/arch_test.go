// Package archtest checks the import directions of ARCHITECTURE.md.
package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/opcredsd/opcredsd/"

var (
	floor = []string{"pkg/matter", "pkg/tlv", "pkg/mcrypto", "pkg/onboarding", "pkg/datamodel", "pkg/logs", "pkg/stats", "pkg/stream"}
	trust = []string{"pkg/store", "pkg/cert", "pkg/fabric", "pkg/acl", "pkg/window", "pkg/attestation", "pkg/failsafe"}
	talk  = []string{"pkg/session", "pkg/exchange", "pkg/pase", "pkg/case", "pkg/securechannel"}
)

// allowed lists, for each package, which of our packages its production code may
// import. A package that is not listed fails the test, since adding one is a
// decision.
var allowed = map[string][]string{
	"pkg/matter":     nil,
	"pkg/tlv":        nil,
	"pkg/mcrypto":    {"pkg/matter"},
	"pkg/onboarding": {"pkg/matter"},
	"pkg/datamodel":  {"pkg/matter"},
	"pkg/logs":       nil,
	"pkg/template":   nil,
	"pkg/stats":      nil,
	"pkg/stream":     nil,

	"pkg/message":   {"pkg/matter", "pkg/tlv"},
	"pkg/host":      nil,
	"pkg/transport": {"pkg/message", "pkg/host"},

	"pkg/store":       {"pkg/mcrypto", "pkg/tlv", "pkg/matter"},
	"pkg/cert":        {"pkg/matter", "pkg/tlv", "pkg/mcrypto"},
	"pkg/fabric":      {"pkg/store", "pkg/cert", "pkg/mcrypto", "pkg/matter"},
	"pkg/acl":         {"pkg/fabric", "pkg/store", "pkg/matter"},
	"pkg/window":      {"pkg/mcrypto", "pkg/matter"},
	"pkg/attestation": {"pkg/store", "pkg/mcrypto", "pkg/tlv", "pkg/matter"},
	"pkg/failsafe":    {"pkg/fabric", "pkg/store", "pkg/cert", "pkg/mcrypto", "pkg/matter"},

	"pkg/provision": {"pkg/store", "pkg/fabric", "pkg/attestation", "pkg/window", "pkg/host", "pkg/onboarding", "pkg/mcrypto", "pkg/matter"},

	"pkg/session":       {"pkg/message", "pkg/transport", "pkg/mcrypto", "pkg/matter"},
	"pkg/exchange":      {"pkg/session", "pkg/message", "pkg/transport", "pkg/matter"},
	"pkg/pase":          {"pkg/message", "pkg/mcrypto", "pkg/tlv"},
	"pkg/case":          {"pkg/fabric", "pkg/cert", "pkg/message", "pkg/mcrypto", "pkg/tlv", "pkg/matter"},
	"pkg/securechannel": {"pkg/pase", "pkg/case", "pkg/session", "pkg/exchange", "pkg/message", "pkg/transport", "pkg/store", "pkg/window", "pkg/fabric", "pkg/cert", "pkg/mcrypto", "pkg/matter"},

	"pkg/im": {"pkg/acl", "pkg/tlv", "pkg/matter"},
	// Clusters may import the data model and trust, but not one another, nor
	// messaging.
	"pkg/cluster/*": join(floor, trust, []string{"pkg/im", "pkg/cluster"}),

	"pkg/cluster": {"pkg/im", "pkg/datamodel", "pkg/tlv", "pkg/matter"},
	"pkg/device":  join(floor, []string{"pkg/im", "pkg/cluster", "pkg/cluster/*"}),

	"pkg/bridge":      {"pkg/node", "pkg/device", "pkg/datamodel", "pkg/cluster/*", "pkg/stats", "pkg/store", "pkg/matter"},
	"pkg/bridgeapi":   {"pkg/bridge", "pkg/device"},
	"pkg/devicesfile": {"pkg/bridge", "pkg/device"},
	"pkg/demo":        {"pkg/bridge", "pkg/device"},
	"pkg/node":        join(floor, trust, talk, []string{"pkg/provision", "pkg/message", "pkg/transport", "pkg/host", "pkg/im", "pkg/cluster", "pkg/cluster/*"}),

	"pkg/mdns":    {"pkg/host"},
	"pkg/metrics": {"pkg/bridge", "pkg/node", "pkg/mdns", "pkg/stats"},
	"pkg/admin":   {"pkg/bridge", "pkg/device", "pkg/host", "pkg/matter"},
	"pkg/doctor":  {"pkg/transport", "pkg/host", "pkg/mdns"},
	"pkg/web":     {"pkg/admin", "pkg/doctor", "pkg/bridge", "pkg/device", "pkg/logs", "pkg/matter"},

	"pkg/mqtt/link":          {"pkg/stream"},
	"pkg/mqtt/reader":        {"pkg/device", "pkg/mqtt/link"},
	"pkg/mqtt/zigbee2mqtt":   {"pkg/device", "pkg/mqtt/link", "pkg/mqtt/reader"},
	"pkg/mqtt/tasmota":       {"pkg/device", "pkg/mqtt/link", "pkg/mqtt/reader"},
	"pkg/mqtt/homeassistant": {"pkg/template", "pkg/device", "pkg/mqtt/link", "pkg/mqtt/reader"},
	"pkg/mqtt":               {"pkg/bridge", "pkg/device", "pkg/mqtt/link", "pkg/mqtt/reader", "pkg/mqtt/zigbee2mqtt", "pkg/mqtt/tasmota", "pkg/mqtt/homeassistant"},

	"pkg/operator": {"pkg/bridge", "pkg/device", "pkg/store", "pkg/fabric", "pkg/window", "pkg/attestation", "pkg/provision", "pkg/host", "pkg/node", "pkg/mdns", "pkg/admin", "pkg/onboarding", "pkg/matter"},
	"pkg/server":   {"pkg/operator", "pkg/bridge", "pkg/bridgeapi", "pkg/device", "pkg/store", "pkg/window", "pkg/attestation", "pkg/provision", "pkg/transport", "pkg/host", "pkg/node", "pkg/mdns", "pkg/metrics", "pkg/admin", "pkg/doctor", "pkg/web", "pkg/logs", "pkg/stats", "pkg/stream", "pkg/mcrypto", "pkg/matter"},
	"cmd/opcredsd": {"pkg/server", "pkg/operator", "pkg/bridge", "pkg/devicesfile", "pkg/device", "pkg/demo", "pkg/mqtt", "pkg/mqtt/link", "pkg/mqtt/reader", "pkg/mqtt/zigbee2mqtt", "pkg/mqtt/tasmota", "pkg/mqtt/homeassistant", "pkg/admin", "pkg/provision", "pkg/store", "pkg/attestation", "pkg/matter", "pkg/mdns", "pkg/doctor", "pkg/metrics", "pkg/logs", "pkg/web"},

	"internal/archtest":     nil,
	"internal/datamodelgen": nil,
	"internal/sbom":         nil,
	"internal/netns":        nil,
	"internal/brokertest":   nil,
	"internal/bridgetest":   {"pkg/bridge", "pkg/node", "pkg/store", "pkg/matter"},
	"internal/netlab":       {"internal/netns"},
	"internal/simnet":       {"pkg/transport"},
	"internal/conformance":  join(floor, []string{"pkg/im"}),
	"internal/clustertest":  join(floor, trust, []string{"pkg/im"}),
	"internal/commissioner": join(floor, talk, []string{"pkg/im", "pkg/cert", "pkg/fabric", "pkg/store", "pkg/message", "pkg/transport"}),
}

func join(lists ...[]string) []string { return slices.Concat(lists...) }

func TestImports(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, top := range []string{"cmd", "pkg", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			seen++
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			checkFile(t, path, filepath.ToSlash(rel))
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if seen < 20 {
		t.Fatalf("only %d files read: the walk is wrong", seen)
	}
}

func checkFile(t *testing.T, path, rel string) {
	pkg := rel[:strings.LastIndex(rel, "/")]
	may, listed := allowed[pkg]
	if !listed && strings.HasPrefix(pkg, "pkg/cluster/") {
		may, listed = allowed["pkg/cluster/*"]
	}
	if !listed {
		t.Errorf("%s: package %s is not in the table of archtest", rel, pkg)
		return
	}
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Error(err)
			continue
		}
		ours, ok := strings.CutPrefix(imp, module)
		if !ok {
			continue
		}
		if !slices.Contains(may, ours) && !(strings.HasPrefix(ours, "pkg/cluster/") && slices.Contains(may, "pkg/cluster/*")) {
			t.Errorf("%s imports %s: not allowed for %s", rel, ours, pkg)
		}
	}
}
