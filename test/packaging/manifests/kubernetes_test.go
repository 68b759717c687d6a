package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	deploy      = "../../../deploy"
	stateDir    = "/var/lib/opcredsd" // what the image says
	metricsPort = 9540
)

func strict[T any](t *testing.T, b []byte) *T {
	t.Helper()
	v := new(T)
	if err := yaml.UnmarshalStrict(b, v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestKubernetes(t *testing.T) {
	gateways, err := filepath.Glob(deploy + "/kubernetes/gateways/*")
	if err != nil || len(gateways) == 0 {
		t.Fatalf("no gateway: %v", err)
	}
	for _, dir := range gateways {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
			if err != nil {
				t.Fatal(err)
			}
			var set *appsv1.StatefulSet
			var service *corev1.Service
			for _, r := range resources.Resources() {
				b, err := r.AsYAML()
				if err != nil {
					t.Fatal(err)
				}
				switch kind := r.GetKind(); kind {
				case "StatefulSet":
					set = strict[appsv1.StatefulSet](t, b)
				case "Service":
					service = strict[corev1.Service](t, b)
				default:
					t.Errorf("a gateway brings a %s: removing the gateway would remove it", kind)
				}
			}
			if set == nil || service == nil {
				t.Fatal("no StatefulSet or no Service")
			}
			checkSet(t, set)
			checkService(t, set, service)
		})
	}
}

func checkSet(t *testing.T, set *appsv1.StatefulSet) {
	spec := &set.Spec.Template.Spec
	if set.Spec.Replicas == nil || *set.Spec.Replicas != 1 {
		t.Error("not exactly one replica: two would be one node twice")
	}
	if !spec.HostNetwork {
		t.Error("no host networking")
	}
	if spec.NodeSelector["kubernetes.io/hostname"] == "" {
		t.Error("not pinned to a node")
	}
	if g := spec.TerminationGracePeriodSeconds; g == nil || *g < 6 {
		t.Error("no time for the 5 seconds of a goodbye")
	}
	if p := set.Spec.PersistentVolumeClaimRetentionPolicy; p == nil || p.WhenDeleted != appsv1.RetainPersistentVolumeClaimRetentionPolicyType {
		t.Error("the volume goes with the StatefulSet")
	}
	if len(spec.Containers) != 1 {
		t.Fatalf("%d containers", len(spec.Containers))
	}
	c := &spec.Containers[0]
	checkProbe(t, c, "liveness", c.LivenessProbe, "/healthz")
	checkProbe(t, c, "readiness", c.ReadinessProbe, "/readyz")
	checkState(t, set, c)

	s := c.SecurityContext
	if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
		t.Error("the root file system can be written to")
	}
	if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
		t.Error("privileges can be gained")
	}
	if s == nil || s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") {
		t.Error("capabilities are kept")
	}
	if p := spec.SecurityContext; p == nil || p.RunAsNonRoot == nil || !*p.RunAsNonRoot || p.RunAsUser == nil || *p.RunAsUser != 65532 {
		t.Error("not the user of the image")
	}
}

func checkProbe(t *testing.T, c *corev1.Container, name string, p *corev1.Probe, path string) {
	t.Helper()
	if p == nil || p.HTTPGet == nil || p.HTTPGet.Path != path {
		t.Errorf("no %s probe on %s", name, path)
		return
	}
	for _, port := range c.Ports {
		if port.Name == p.HTTPGet.Port.StrVal && port.ContainerPort == metricsPort {
			return
		}
	}
	t.Errorf("the %s probe asks port %v", name, p.HTTPGet.Port)
}

// checkState finds the state directory in a volume of the claim templates.
func checkState(t *testing.T, set *appsv1.StatefulSet, c *corev1.Container) {
	t.Helper()
	dir := stateDir
	for _, e := range c.Env {
		switch e.Name {
		case "OPCREDSD_STATE_DIR":
			dir = e.Value
		case "OPCREDSD_REQUIRE_VOLUME":
			t.Error("the check for a volume is off")
		}
	}
	for _, m := range c.VolumeMounts {
		if dir != m.MountPath && !strings.HasPrefix(dir, m.MountPath+"/") {
			continue
		}
		for _, claim := range set.Spec.VolumeClaimTemplates {
			if claim.Name == m.Name {
				return
			}
		}
	}
	t.Errorf("%s is in no volume", dir)
}

func checkService(t *testing.T, set *appsv1.StatefulSet, service *corev1.Service) {
	t.Helper()
	if set.Spec.ServiceName != service.Name {
		t.Errorf("the StatefulSet's service is %q, not %q", set.Spec.ServiceName, service.Name)
	}
	labels := set.Spec.Template.Labels
	for k, v := range service.Spec.Selector {
		if labels[k] != v {
			t.Errorf("the service selects %s=%s, the pods have %q", k, v, labels[k])
		}
	}
	for k, v := range set.Spec.Selector.MatchLabels {
		if labels[k] != v {
			t.Errorf("the StatefulSet selects %s=%s, its pods have %q", k, v, labels[k])
		}
	}
	if set.Spec.Selector.MatchLabels["opcredsd/gateway"] == "" {
		t.Error("two gateways would select one another's pods")
	}
}

func TestNamespace(t *testing.T) {
	b, err := os.ReadFile(deploy + "/kubernetes/namespace.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if ns := strict[corev1.Namespace](t, b); ns.Name != "opcredsd" {
		t.Errorf("the namespace is %q", ns.Name)
	}
}
