package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
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
	t.Helper()
	spec := &set.Spec.Template.Spec
	if set.Spec.Replicas == nil || *set.Spec.Replicas != 1 {
		t.Error("not exactly one replica: two would be one node twice")
	}
	if spec.NodeSelector["kubernetes.io/hostname"] == "" {
		t.Error("not pinned to a node")
	}
	if p := set.Spec.PersistentVolumeClaimRetentionPolicy; p == nil || p.WhenDeleted != appsv1.RetainPersistentVolumeClaimRetentionPolicyType {
		t.Error("the volume goes with the StatefulSet")
	}
	var claims []string
	for _, claim := range set.Spec.VolumeClaimTemplates {
		claims = append(claims, claim.Name)
	}
	checkPod(t, spec, claims)
}

// checkPod checks a pod whose volumes named keep outlive it.
func checkPod(t *testing.T, spec *corev1.PodSpec, keep []string) {
	t.Helper()
	if !spec.HostNetwork {
		t.Error("no host networking")
	}
	if g := spec.TerminationGracePeriodSeconds; g == nil || *g < 6 {
		t.Error("no time for the 5 seconds of a goodbye")
	}
	i := slices.IndexFunc(spec.Containers, func(c corev1.Container) bool { return c.Name == "opcredsd" })
	if i < 0 {
		t.Fatal("no container opcredsd")
	}
	c := &spec.Containers[i]
	checkProbe(t, c, "liveness", c.LivenessProbe, "/healthz")
	checkProbe(t, c, "readiness", c.ReadinessProbe, "/readyz")
	checkState(t, c, keep)
	checkSocket(t, spec, c)

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

// checkState finds the state directory in one of the volumes that outlive the pod.
func checkState(t *testing.T, c *corev1.Container, keep []string) {
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
		if slices.Contains(keep, m.Name) {
			return
		}
	}
	t.Errorf("%s is in no volume", dir)
}

// checkSocket finds the bridge's socket in a volume that every container of the pod may
// have, and has when it is a source.
func checkSocket(t *testing.T, spec *corev1.PodSpec, c *corev1.Container) {
	t.Helper()
	socket := ""
	for _, e := range c.Env {
		if e.Name == "OPCREDSD_BRIDGE_SOCKET" {
			socket = e.Value
		}
	}
	has := func(c *corev1.Container) string {
		for _, m := range c.VolumeMounts {
			if m.MountPath == filepath.Dir(socket) {
				return m.Name
			}
		}
		return ""
	}
	volume := has(c)
	if !slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == volume && v.EmptyDir != nil }) {
		t.Errorf("the bridge's socket, %q, is in no volume of the pod", socket)
	}
	for i := range spec.Containers {
		if has(&spec.Containers[i]) != volume {
			t.Errorf("%s does not see the bridge's socket", spec.Containers[i].Name)
		}
	}
	if g := spec.SecurityContext.FSGroup; g == nil || *g != 65532 {
		t.Error("other containers are not in the group of the bridge's socket")
	}
}

// build returns what kustomize makes of a folder, by kind.
func build(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, r := range resources.Resources() {
		if out[r.GetKind()], err = r.AsYAML(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// A fleet by a label of its nodes.
func TestKubernetesFleet(t *testing.T) {
	made := build(t, deploy+"/kubernetes/fleet")
	set := strict[appsv1.DaemonSet](t, made["DaemonSet"])
	if len(made) != 1 {
		t.Errorf("a fleet brings more than its DaemonSet: %d kinds", len(made))
	}
	spec := &set.Spec.Template.Spec
	if spec.NodeSelector["opcredsd/gateway"] != "true" {
		t.Error("it runs on every node")
	}
	if u := set.Spec.UpdateStrategy.RollingUpdate; u == nil || u.MaxSurge == nil || u.MaxSurge.IntValue() != 0 {
		t.Error("an update may have two on a node: they would be one node twice")
	}
	for k, v := range set.Spec.Selector.MatchLabels {
		if set.Spec.Template.Labels[k] != v {
			t.Errorf("the DaemonSet selects %s=%s, its pods have %q", k, v, set.Spec.Template.Labels[k])
		}
	}
	if set.Spec.Selector.MatchLabels["opcredsd/fleet"] == "" {
		t.Error("it selects the pods of other gateways")
	}
	var keep []string
	for _, v := range spec.Volumes {
		if v.HostPath != nil {
			keep = append(keep, v.Name)
		}
	}
	checkPod(t, spec, keep)
}

// The operator's PodMonitor finds the pods of both kinds, by a port that they have.
func TestKubernetesMonitoring(t *testing.T) {
	made := build(t, deploy+"/kubernetes/monitoring")
	monitor := strict[monitoringv1.PodMonitor](t, made["PodMonitor"])
	if rules := strict[monitoringv1.PrometheusRule](t, made["PrometheusRule"]); len(rules.Spec.Groups) != 1 || len(rules.Spec.Groups[0].Rules) < 20 {
		t.Errorf("%d groups of rules", len(rules.Spec.Groups))
	}
	if len(monitor.Spec.PodMetricsEndpoints) != 1 {
		t.Fatalf("it scrapes %+v", monitor.Spec)
	}
	e := monitor.Spec.PodMetricsEndpoints[0]
	if e.Port == nil {
		t.Fatal("no port")
	}
	if !slices.ContainsFunc(e.RelabelConfigs, func(r monitoringv1.RelabelConfig) bool {
		return r.TargetLabel == "job" && r.Replacement != nil && *r.Replacement == "opcredsd"
	}) {
		t.Error("the alerts do not know the job")
	}
	templates := map[string]corev1.PodTemplateSpec{
		"StatefulSet": strict[appsv1.StatefulSet](t, build(t, deploy+"/kubernetes/gateways/example")["StatefulSet"]).Spec.Template,
		"DaemonSet":   strict[appsv1.DaemonSet](t, build(t, deploy+"/kubernetes/fleet")["DaemonSet"]).Spec.Template,
	}
	for kind, pod := range templates {
		for k, v := range monitor.Spec.Selector.MatchLabels {
			if pod.Labels[k] != v {
				t.Errorf("%s: pods have %s=%q, not %q", kind, k, pod.Labels[k], v)
			}
		}
		if !slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool {
			return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == *e.Port && p.ContainerPort == metricsPort })
		}) {
			t.Errorf("%s: no port %s", kind, *e.Port)
		}
	}
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
