package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

func loadCompose(t *testing.T, env types.Mapping, profiles ...string) (*types.Project, error) {
	t.Helper()
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  deploy,
		ConfigFiles: []types.ConfigFile{{Filename: deploy + "/compose.yaml"}},
		Environment: env,
	}, loader.WithProfiles(profiles))
}

func TestCompose(t *testing.T) {
	if _, err := loadCompose(t, nil); err == nil {
		t.Error("Grafana comes up with a password that everybody knows")
	}
	p, err := loadCompose(t, types.Mapping{"GRAFANA_PASSWORD": "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"opcredsd", "prometheus", "grafana"} {
		s, ok := p.Services[name]
		if !ok {
			t.Errorf("no service %s", name)
			continue
		}
		if s.NetworkMode != "host" {
			t.Errorf("%s: not on the host's network", name)
		}
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, name := range []string{"mosquitto", "zigbee2mqtt"} {
		if _, ok := p.Services[name]; ok {
			t.Errorf("%s comes up without being asked for", name)
		}
	}
	o := p.Services["opcredsd"]
	if dir := filepath.Dir(*o.Environment["OPCREDSD_BRIDGE_SOCKET"]); volumeAt(o, dir) == "" {
		t.Errorf("the bridge's socket is in no volume that others could have: %s", dir)
	}
	if !o.ReadOnly || o.User != "65532:65532" || !slices.Contains(o.CapDrop, "ALL") || !slices.Contains(o.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("opcredsd has more than it needs: read_only %v, user %q, cap_drop %v, security_opt %v", o.ReadOnly, o.User, o.CapDrop, o.SecurityOpt)
	}
	if volumeAt(o, stateDir) == "" {
		t.Errorf("no named volume on %s", stateDir)
	}
	if o.StopGracePeriod == nil || o.StopGracePeriod.String() != "10s" {
		t.Error("no time for the 5 seconds of a goodbye")
	}
	for _, name := range []string{"OPCREDSD_REQUIRE_VOLUME", "OPCREDSD_METRICS_ADDR"} {
		if _, ok := o.Environment[name]; ok {
			t.Errorf("%s is set", name)
		}
	}
	if b := o.Build; b == nil || !exists(filepath.Join(b.Context, "Dockerfile")) {
		t.Error("no Dockerfile to build opcredsd with")
	}
	checkPrometheus(t, p.Services["prometheus"])
	checkGrafana(t, p.Services["grafana"])
}

// volumeAt is the named volume that a container has at path, or "".
func volumeAt(s types.ServiceConfig, path string) string {
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume && v.Target == path {
			return v.Source
		}
	}
	return ""
}

// With the profile zigbee there is a broker, and zigbee2mqtt and the daemon use it.
func TestComposeZigbee(t *testing.T) {
	p, err := loadCompose(t, types.Mapping{"GRAFANA_PASSWORD": "x", "OPCREDSD_MQTT_URL": "mqtt://127.0.0.1:1883"}, "zigbee")
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(inContainer(p.Services["mosquitto"], "/mosquitto/config/mosquitto.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(config), "\nlistener 1883 127.0.0.1\n") {
		t.Errorf("mosquitto listens elsewhere:\n%s", config)
	}
	z, o := p.Services["zigbee2mqtt"], p.Services["opcredsd"]
	if a, b := *z.Environment["ZIGBEE2MQTT_CONFIG_MQTT_SERVER"], *o.Environment["OPCREDSD_MQTT_URL"]; a != b {
		t.Errorf("zigbee2mqtt is at %s, opcredsd at %s", a, b)
	}
	if len(z.Devices) != 1 || z.Devices[0].Target != *z.Environment["ZIGBEE2MQTT_CONFIG_SERIAL_PORT"] {
		t.Errorf("the adapter is %+v", z.Devices)
	}
	if volumeAt(z, "/app/data") == "" || volumeAt(p.Services["mosquitto"], "/mosquitto/data") == "" {
		t.Error("what they know goes with the containers")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// inContainer is the file outside that a container sees at path, or "".
func inContainer(s types.ServiceConfig, path string) string {
	for _, v := range s.Volumes {
		if rest, ok := strings.CutPrefix(path, v.Target); ok && v.Type == types.VolumeTypeBind {
			return v.Source + rest
		}
	}
	return ""
}

func checkPrometheus(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	file, listen := "", ""
	for _, arg := range s.Command {
		if v, ok := strings.CutPrefix(arg, "--config.file="); ok {
			file = inContainer(s, v)
		}
		if v, ok := strings.CutPrefix(arg, "--web.listen-address="); ok {
			listen = v
		}
	}
	if listen != "127.0.0.1:9090" {
		t.Errorf("Prometheus listens on %q", listen)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cfg struct {
		Scrape []struct {
			Job    string `json:"job_name"`
			Static []struct {
				Targets []string `json:"targets"`
			} `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	if err := yaml.Unmarshal(b, &cfg); err != nil {
		t.Fatal(err)
	}
	if len(cfg.Scrape) != 1 || cfg.Scrape[0].Job != "opcredsd" || !slices.Contains(cfg.Scrape[0].Static[0].Targets, "127.0.0.1:9540") {
		t.Errorf("Prometheus scrapes %+v", cfg.Scrape)
	}
}

func checkGrafana(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	read := func(path string, v any) {
		t.Helper()
		b, err := os.ReadFile(inContainer(s, path))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(b, v); err != nil {
			t.Fatal(err)
		}
	}
	var sources struct {
		Datasources []struct{ Type, URL string }
	}
	read("/etc/grafana/provisioning/datasources/prometheus.yaml", &sources)
	if len(sources.Datasources) != 1 || sources.Datasources[0].Type != "prometheus" || sources.Datasources[0].URL != "http://127.0.0.1:9090" {
		t.Errorf("Grafana asks %+v", sources.Datasources)
	}
	var dashboards struct {
		Providers []struct{ Options struct{ Path string } }
	}
	read("/etc/grafana/provisioning/dashboards/opcredsd.yaml", &dashboards)
	if len(dashboards.Providers) != 1 || !exists(inContainer(s, dashboards.Providers[0].Options.Path+"/opcredsd.json")) {
		t.Errorf("Grafana finds no dashboard in %+v", dashboards.Providers)
	}
}
