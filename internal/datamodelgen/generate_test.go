package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const dir = "../../pkg/datamodel"

// TestUpToDate compares the generated files with the output of the generator.
func TestUpToDate(t *testing.T) {
	files, err := generate(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 80 {
		t.Fatalf("%d files: one for each cluster is expected", len(files))
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator makes: run go generate in pkg/datamodel", name)
		}
	}
	old, err := generated(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range old {
		if _, ok := files[name]; !ok {
			t.Errorf("%s is generated and no longer made", name)
		}
	}
}

// TestRun writes the files into an empty folder, and removes an obsolete one.
func TestRun(t *testing.T) {
	tmp := t.TempDir()
	if err := os.CopyFS(filepath.Join(tmp, "data"), os.DirFS(filepath.Join(dir, "data"))); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"gone.go": header + "\npackage datamodel\n", "kept.go": "package datamodel\n"} {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(tmp); err != nil {
		t.Fatal(err)
	}
	made, err := generated(tmp)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(made, "gone.go") || !slices.Contains(made, "cluster_onoff.go") {
		t.Errorf("made %v", made)
	}
	if _, err := os.Stat(filepath.Join(tmp, "kept.go")); err != nil {
		t.Error(err)
	}
}

func TestGoName(t *testing.T) {
	for s, want := range map[string]string{
		"On/Off":                           "OnOff",
		"Wi-Fi Network Diagnostics":        "WiFiNetworkDiagnostics",
		"PM2.5 Concentration Measurement":  "PM25ConcentrationMeasurement",
		"Valve Configuration and Control":  "ValveConfigurationAndControl",
		"Plug-in Unit":                     "PlugInUnit",
		"AdminVendorId":                    "AdminVendorID",
		"LedFeedback":                      "LEDFeedback",
		"RequirePINforRemoteOperation":     "RequirePINforRemoteOperation",
		"VIDVerificationStatement":         "VIDVerificationStatement",
		"ARLRequestFlowUrl":                "ARLRequestFlowURL",
		"1_2AA":                            "HalfAA",
		"12hr":                             "12Hr",
		"a":                                "A",
		"Vacuum then Mop":                  "VacuumThenMop",
		"WPA2-PERSONAL":                    "WPA2Personal",
		"CurrentPositionLiftPercent100ths": "CurrentPositionLiftPercent100ths",
	} {
		if got := goName(s); got != want {
			t.Errorf("goName(%q) = %q, want %q", s, got, want)
		}
	}
}

func TestLimit(t *testing.T) {
	for _, tt := range []struct{ typ, constraint, entries, want string }{
		{"uint8", "", "", ""},
		{"uint8", "max 0xFE", "", `Rule: "max 0xFE", HasMax: true, Max: 254`},
		{"int16", "-120 to 0", "", `Rule: "-120 to 0", HasMin: true, Min: -120, HasMax: true, Max: 0`},
		{"string", "length 1 to 64", "", `Rule: "length 1 to 64", HasMin: true, Min: 1, HasMax: true, Max: 64`},
		{"octstr", "16", "", `Rule: "16", HasMin: true, Min: 16, HasMax: true, Max: 16`},
		{"uint8", "MinLevel to 254", "", `Rule: "MinLevel to 254", HasMax: true, Max: 254`},
		{"uint8", "desc", "", `Rule: "desc"`},
		{"single", "min 0.01", "", `Rule: "min 0.01"`},
		{"percent", "", "", `HasMax: true, Max: 100`},
		{"list[string]", "max count 16", "max length 64", `Rule: "max count 16", HasMax: true, Max: 16, Entry: &Limit{Rule: "max length 64", HasMax: true, Max: 64}`},
	} {
		if got := limit(tt.typ, tt.constraint, tt.entries); got != tt.want {
			t.Errorf("limit(%q, %q, %q) = %s, want %s", tt.typ, tt.constraint, tt.entries, got, tt.want)
		}
	}
}

func TestAccess(t *testing.T) {
	for _, tt := range []struct {
		acc     string
		command bool
		want    string
	}{
		{"", false, ""},
		{"R V", false, ", Read: matter.PrivilegeView"},
		{"RW VM F", false, ", Read: matter.PrivilegeView, Write: matter.PrivilegeManage, Access: FabricScoped"},
		{"R[W] VA", false, ", Read: matter.PrivilegeView, Write: matter.PrivilegeAdminister, Access: OptionalWrite"},
		{"R A S", false, ", Read: matter.PrivilegeAdminister, Access: FabricSensitive"},
		{"A T", true, ", Privilege: matter.PrivilegeAdminister, Access: Timed"},
		{"F", true, ", Privilege: matter.PrivilegeOperate, Access: FabricScoped"},
	} {
		g := &generator{}
		if got := g.parseAccess(tt.acc, tt.command).fields(); got != tt.want || g.errs != nil {
			t.Errorf("access %q: %s, %v; want %s", tt.acc, got, g.errs, tt.want)
		}
	}
}
