package device

import (
	"fmt"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// cluster returns a cluster of the endpoint.
func (r *rig) cluster(id matter.ClusterID) im.Cluster {
	for _, c := range r.e.Clusters() {
		if c.Spec().ID == id {
			return c
		}
	}
	return nil
}

func BenchmarkCommandLight(b *testing.B) {
	r := newRig(b, Part{Type: "extended_color_light"})
	r.report(Values{"on": Bool(true)})
	for _, x := range []struct {
		name   string
		cl     matter.ClusterID
		id     matter.CommandID
		fields string
	}{
		{"Toggle", onOff, datamodel.OnOffCmdToggle, "{}"},
		{"MoveToLevelWithOnOff", level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:100,1:20,2:0,3:0}"},
		{"MoveToColor", color, datamodel.ColorControlCmdMoveToColor, "{0:20000,1:20000,2:20,3:0,4:0}"},
	} {
		b.Run(x.name, func(b *testing.B) {
			c := r.cluster(x.cl)
			rd := tlv.NewReader(Encode(b, x.fields))
			fields := rd.Element()
			req := &im.Request{Now: r.Now, Subject: acl.Subject{Fabric: 1, Node: 7}}
			b.ReportAllocs()
			for b.Loop() {
				r.sent = r.sent[:0]
				if err := c.Invoke(req, x.id, fields, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFadingLights measures one second in which lamps fade together, level and
// color, with a subscriber to each, on a node with a thousand lamps.
func BenchmarkFadingLights(b *testing.B) {
	for _, fading := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("%d of 1000", fading), func(b *testing.B) {
			n := clustertest.New(b, 1)
			var parts []*Endpoint
			for i := range 1000 {
				e, err := New("test:1", &Part{ID: "main", Type: "extended_color_light"}, func(time.Time, Command) error { return nil })
				if err != nil {
					b.Fatal(err)
				}
				e.Report(n.Now, Values{"on": Bool(true), "brightness_percent": Number(1)})
				n.AddEndpoint(im.Endpoint{ID: matter.EndpointID(i + 2), Clusters: e.Clusters(), Model: e})
				parts = append(parts, e)
			}
			n.Confirm()
			n.Subscribe(clustertest.Admin(1), clustertest.Everywhere, 0)
			start := func() {
				for i := range fading {
					n.Invoke(clustertest.Admin(1), matter.EndpointID(i+2), level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:254,1:600,2:0,3:0}")
					n.Invoke(clustertest.Admin(1), matter.EndpointID(i+2), color, datamodel.ColorControlCmdMoveToColor, "{0:20000,1:20000,2:600,3:0,4:0}")
				}
			}
			seconds, reports := 0, 0
			for b.Loop() {
				if seconds%60 == 0 {
					b.StopTimer()
					for i := range fading {
						parts[i].Report(n.Now, Values{"brightness_percent": Number(1), "color_temperature_kelvin": Number(2000)})
						n.Touch(matter.EndpointID(i + 2))
					}
					n.Confirm()
					start()
					b.StartTimer()
				}
				seconds++
				end := n.Now.Add(time.Second)
				for {
					at, ok := n.Deadline()
					if !ok || at.After(end) {
						break
					}
					n.Now = at
					n.Advance(n.Now)
					reports += n.Confirm()
				}
				n.Now = end
			}
			b.ReportMetric(float64(reports)/float64(seconds), "messages/s")
		})
	}
}
