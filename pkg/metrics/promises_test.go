package metrics

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Users' dashboards and alerts depend on these names and labels. A change is a
// breaking change and must be in CHANGELOG.md.
var promises = map[string]string{
	"opcredsd_bridge_command_confirm_seconds":               "",
	"opcredsd_bridge_commands_total":                        "result,source",
	"opcredsd_bridge_devices":                               "reachable,source",
	"opcredsd_bridge_ignored":                               "reason,source",
	"opcredsd_bridge_parts":                                 "type",
	"opcredsd_bridge_streams":                               "",
	"opcredsd_bridge_updates_total":                         "source",
	"opcredsd_build_info":                                   "goversion,revision,version",
	"opcredsd_case_handshake_duration_seconds":              "",
	"opcredsd_case_handshakes_total":                        "result,resumed",
	"opcredsd_certificate_not_after_timestamp_seconds":      "fabric_index,kind",
	"opcredsd_commissioning_window_open":                    "",
	"opcredsd_config_last_reload_success_timestamp_seconds": "",
	"opcredsd_config_last_reload_successful":                "",
	"opcredsd_datagrams_dropped_total":                      "reason",
	"opcredsd_datagrams_received_total":                     "",
	"opcredsd_datagrams_sent_total":                         "",
	"opcredsd_discoverable":                                 "",
	"opcredsd_exchanges":                                    "",
	"opcredsd_fabrics":                                      "",
	"opcredsd_fabrics_max":                                  "",
	"opcredsd_failsafe_armed":                               "",
	"opcredsd_failsafe_expirations_total":                   "",
	"opcredsd_im_request_duration_seconds":                  "action",
	"opcredsd_im_requests_total":                            "action,status",
	"opcredsd_interface_announced":                          "interface",
	"opcredsd_interface_discoverable":                       "interface",
	"opcredsd_last_heard_timestamp_seconds":                 "fabric_index",
	"opcredsd_memory_limit_bytes":                           "",
	"opcredsd_mdns_conflicts_total":                         "",
	"opcredsd_mdns_dropped_total":                           "reason",
	"opcredsd_mdns_packets_received_total":                  "",
	"opcredsd_mdns_packets_sent_total":                      "",
	"opcredsd_mqtt_connected":                               "",
	"opcredsd_mqtt_errors_total":                            "reason",
	"opcredsd_mqtt_messages_total":                          "direction",
	"opcredsd_mrp_acknowledgements_total":                   "",
	"opcredsd_mrp_duplicates_total":                         "",
	"opcredsd_mrp_retransmissions_total":                    "",
	"opcredsd_mrp_timeouts_total":                           "",
	"opcredsd_opcreds_commands_total":                       "command,status",
	"opcredsd_pase_failures_total":                          "",
	"opcredsd_pase_handshakes_total":                        "result",
	"opcredsd_sessions":                                     "type",
	"opcredsd_store_commit_duration_seconds":                "",
	"opcredsd_store_last_backup_timestamp_seconds":          "",
	"opcredsd_subscribers":                                  "reachable",
	"opcredsd_subscriptions":                                "",
	"opcredsd_subscriptions_interrupted":                    "",
}

func TestPromises(t *testing.T) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(New(Build{Version: "1.2.3", Go: "go1"}, func() (Snapshot, bool) { return snapshot(), true }))
	reg.MustRegister(NewReload().Collectors()...)
	reg.MustRegister(NewMQTT(func() MQTT { return MQTT{Errors: map[string]uint64{"json": 1}} }))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]string{}
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		there[f.GetName()] = strings.Join(labels, ",")
	}
	if !maps.Equal(there, promises) {
		for _, name := range slices.Sorted(maps.Keys(promises)) {
			if got, ok := there[name]; !ok || got != promises[name] {
				t.Errorf("%s{%s}: there is {%s}, %v", name, promises[name], got, ok)
			}
			delete(there, name)
		}
		for name, labels := range there {
			t.Errorf("%s{%s} is not promised", name, labels)
		}
	}
}
