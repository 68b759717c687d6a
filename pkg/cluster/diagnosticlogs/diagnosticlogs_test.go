package diagnosticlogs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
)

var admin = clustertest.Admin(1)

const (
	// micros is clustertest.Start in microseconds of the Matter epoch.
	micros  = 831211200000000
	minutes = 60_000_000
)

func TestRetrieveLogs(t *testing.T) {
	long := strings.Repeat("x", 33)
	plain := fmt.Sprintf(`1{0:0,1:x"6c696e65",2:%d,3:%d}`, micros+minutes, minutes)
	tests := []struct {
		name, text, fields, want string
		untrusted                bool
	}{
		{"end user support", "line", "{0:0,1:0}", plain, false},
		{"network", "line", "{0:1,1:0}", plain, false},
		{"by a clock that is wrong", "line", "{0:0,1:0}", fmt.Sprintf(`1{0:0,1:x"6c696e65",3:%d}`, minutes), true},
		{"a designator nobody needs", "line", `{0:0,1:0,2:"f"}`, plain, false},
		{"crashes", "line", "{0:2,1:0}", `1{0:2,1:x""}`, false},
		{"crashes by BDX", "line", `{0:2,1:1,2:"f"}`, `1{0:2,1:x""}`, false},
		{"nothing logged", "", "{0:0,1:0}", `1{0:2,1:x""}`, false},
		{"BDX", "line", `{0:0,1:1,2:"f"}`, strings.Replace(plain, "{0:0", "{0:1", 1), false},
		{"BDX without a designator", "line", "{0:0,1:1}", "INVALID_COMMAND", false},
		{"designator too long", "line", `{0:0,1:1,2:"` + long + `"}`, "CONSTRAINT_ERROR", false},
		{"unknown intent", "line", "{0:3,1:0}", "INVALID_COMMAND", false},
		{"unknown protocol", "line", "{0:0,1:2}", "INVALID_COMMAND", false},
		{"no intent", "line", "{1:0}", "INVALID_COMMAND", false},
		{"no protocol", "line", "{0:0}", "INVALID_COMMAND", false},
		{"intent of another type", "line", `{0:"0",1:0}`, "INVALID_COMMAND", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := clustertest.New(t, 1)
			n.Add(0, New(Options{
				Logs: func(limit int) ([]byte, time.Time) {
					if limit != 1024 {
						t.Errorf("limit %d", limit)
					}
					return []byte(tt.text), clustertest.Start.Add(time.Minute)
				},
				Started:      clustertest.Start,
				ClockTrusted: func(time.Time) bool { return !tt.untrusted },
			}))
			if got := n.Invoke(admin, 0, ID, cmdRetrieveLogs, tt.fields); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// The longest content fits into one message.
func TestLongestContent(t *testing.T) {
	n := clustertest.New(t, 1)
	n.Add(0, New(Options{
		Logs:         func(limit int) ([]byte, time.Time) { return make([]byte, limit), clustertest.Start.Add(24 * time.Hour) },
		Started:      clustertest.Start,
		ClockTrusted: func(time.Time) bool { return true },
	}))
	if got := n.Invoke(admin, 0, ID, cmdRetrieveLogs, "{0:0,1:0}"); strings.Count(got, "00") < maxContent {
		t.Errorf("%.80s", got)
	}
}
