package doctor

import (
	"strings"
	"testing"
)

func TestMQTT(t *testing.T) {
	const url = "mqtt://127.0.0.1"
	for _, tt := range []struct {
		m    *MQTT
		want Result
		text string
	}{
		{nil, OK, "no broker"},
		{&MQTT{URL: url, Err: "connection refused"}, Fault, url + " is not reachable: connection refused"},
		{&MQTT{URL: url, Err: "x509: certificate has expired"}, Fault, "certificate has expired"},
		{&MQTT{URL: url, Err: "the broker does not take the user name and password", Refused: true}, Fault, "refuses the daemon"},
		{&MQTT{URL: url, Zigbee2MQTT: map[string]string{"zigbee2mqtt": ""}}, Note, "nothing announces devices"},
		{&MQTT{URL: url, Zigbee2MQTT: map[string]string{"zigbee2mqtt": "offline"}}, Note, "the zigbee2mqtt at zigbee2mqtt is offline"},
		{&MQTT{URL: url, Zigbee2MQTT: map[string]string{"a": "online", "b": ""}, Announced: 3}, OK, "zigbee2mqtt is online at a, 3 discovery messages"},
		{&MQTT{URL: url, Zigbee2MQTT: map[string]string{"zigbee2mqtt": ""}, Announced: 2}, OK, "2 discovery messages"},
	} {
		list := checkMQTT(&Facts{MQTT: tt.m})
		if len(list) != 1 || list[0].Result != tt.want || !strings.Contains(list[0].Text, tt.text) || (tt.want == OK) != (list[0].Remedy == "") {
			t.Errorf("%+v: %+v", tt.m, list)
		}
	}
}
