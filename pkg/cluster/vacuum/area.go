package vacuum

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ServiceArea is the Service Area cluster. The id of an area is its index plus one,
// since some controllers treat 0 as none. There are no maps.
var ServiceArea = cluster.Define(cluster.Def[Vacuum]{
	Facts: datamodel.ServiceArea,
	Attributes: []cluster.Attribute[Vacuum]{
		cluster.Computed(datamodel.ServiceAreaAttrSupportedAreas, writeAreas, nil),
		cluster.Computed(datamodel.ServiceAreaAttrSelectedAreas, writeSelected, func(a, b *Vacuum) bool { return a.Areas == b.Areas }),
	},
	Commands: []cluster.Command[Vacuum]{cluster.Reply(datamodel.ServiceAreaCmdSelectAreas, selectAreas)},
})

func writeAreas(s *Vacuum, w *tlv.Writer, t tlv.Tag) {
	w.StartArray(t)
	for i, name := range s.config.Areas {
		w.StartStruct(tlv.Anonymous)
		w.Uint(tlv.Context(0), uint64(i+1))
		w.Null(tlv.Context(1)) // the map
		w.StartStruct(tlv.Context(2))
		w.StartStruct(tlv.Context(0))
		w.Text(tlv.Context(0), name)
		w.Null(tlv.Context(1)) // floor
		w.Null(tlv.Context(2)) // kind of room
		w.End()
		w.Null(tlv.Context(1)) // landmark
		w.End()
		w.End()
	}
	w.End()
}

func writeSelected(s *Vacuum, w *tlv.Writer, t tlv.Tag) {
	w.StartArray(t)
	for i := range s.config.Areas {
		if s.Areas&(1<<i) != 0 {
			w.Uint(tlv.Anonymous, uint64(i+1))
		}
	}
	w.End()
}

type selection struct{ NewAreas []uint32 }

// selectAreas handles SelectAreas (section 1.17.7.1). Duplicates are ignored, an
// empty list selects all areas, and the selection cannot change during a run.
func selectAreas(c *cluster.Context, s *Vacuum, f *selection, w *tlv.Writer) error {
	var areas uint64
	status, text := datamodel.ServiceAreaSelectAreasStatusSuccess, ""
	for _, id := range f.NewAreas {
		if id == 0 || int64(id) > int64(len(s.config.Areas)) {
			status, text = datamodel.ServiceAreaSelectAreasStatusUnsupportedArea, "there is no such area"
			break
		}
		areas |= 1 << (id - 1)
	}
	switch {
	case status != datamodel.ServiceAreaSelectAreasStatusSuccess || areas == s.Areas:
	case s.Run != Idle:
		status, text = datamodel.ServiceAreaSelectAreasStatusInvalidInMode, "it is in a run"
	default:
		s.Areas = areas
		c.Want(WantAreas)
	}
	w.Uint(tlv.Context(0), uint64(status))
	w.Text(tlv.Context(1), text)
	return nil
}
