package device

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// sceneModel is the table of scenes of one endpoint, as section 1.4 describes it.
type sceneModel struct {
	names   map[sceneKey]string
	current map[matter.FabricIndex]sceneKey
	valid   matter.FabricIndex // whose current scene is valid; 0: nobody's
}

type sceneKey struct {
	fabric       matter.FabricIndex
	group, scene int
}

const sceneSuccess, sceneNotFound, sceneExhausted, sceneInvalid, sceneConstraint = 0, 139, 137, 133, 135

// check returns the status that a command has for its group and scene.
func (m *sceneModel) check(k sceneKey) int {
	switch {
	case k.scene == 255:
		return sceneConstraint
	case k.group > 2:
		return sceneInvalid
	}
	return sceneSuccess
}

func (m *sceneModel) room(f matter.FabricIndex) int {
	own := 0
	for k := range m.names {
		if k.fabric == f {
			own++
		}
	}
	return min(15-own, 32-len(m.names))
}

// put adds scenes, all or none.
func (m *sceneModel) put(f matter.FabricIndex, all map[sceneKey]string) int {
	added := 0
	for k := range all {
		if _, is := m.names[k]; !is {
			added++
		}
	}
	if added > m.room(f) {
		return sceneExhausted
	}
	for k, name := range all {
		m.names[k] = name
	}
	return sceneSuccess
}

func (m *sceneModel) add(k sceneKey, name string) int {
	if st := m.check(k); st != sceneSuccess {
		return st
	}
	st := m.put(k.fabric, map[sceneKey]string{k: name})
	if st == sceneSuccess && m.current[k.fabric] == k && m.valid == k.fabric {
		m.valid = 0
	}
	return st
}

func (m *sceneModel) store(k sceneKey) int {
	if st := m.check(k); st != sceneSuccess {
		return st
	}
	st := m.put(k.fabric, map[sceneKey]string{k: m.names[k]})
	if st == sceneSuccess {
		m.current[k.fabric], m.valid = k, k.fabric
	}
	return st
}

func (m *sceneModel) remove(f matter.FabricIndex, which func(sceneKey) bool) {
	for k := range m.names {
		if k.fabric == f && which(k) {
			delete(m.names, k)
		}
	}
	if k, is := m.current[f]; is && which(k) && m.valid == f {
		m.valid = 0
	}
}

func (m *sceneModel) copy(all bool, from, to sceneKey) int {
	if all {
		from.scene, to.scene = 0, 0
	}
	if st := cmp.Or(m.check(from), m.check(to)); st != sceneSuccess {
		return st
	}
	copies := map[sceneKey]string{}
	for k, name := range m.names {
		if k.fabric == from.fabric && k.group == from.group && (all || k == from) {
			if to.fabric = from.fabric; all {
				to.scene = k.scene
			}
			copies[to] = name
		}
	}
	if len(copies) == 0 && !all {
		return sceneNotFound
	}
	st := m.put(from.fabric, copies)
	if _, is := copies[m.current[from.fabric]]; st == sceneSuccess && is && m.valid == from.fabric {
		m.valid = 0
	}
	return st
}

// list is the answer to GetSceneMembership.
func (m *sceneModel) list(f matter.FabricIndex, group int) string {
	var scenes []int
	for k := range m.names {
		if k.fabric == f && k.group == group {
			scenes = append(scenes, k.scene)
		}
	}
	slices.Sort(scenes)
	return fmt.Sprintf("6{0:0,1:%d,2:%d,3:[%s]}", m.room(f), group, strings.Trim(strings.ReplaceAll(fmt.Sprint(scenes), " ", ","), "[]"))
}

// TestSceneTableAgainstModel executes random commands of three fabrics, and compares each
// answer, and the table, with a simple model of it.
func TestSceneTableAgainstModel(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		r := dimmer(t, true, 40)
		fabrics := []matter.FabricIndex{1, 2, r.AddFabric()}
		for _, f := range fabrics {
			r.joins(f)
		}
		m := &sceneModel{names: map[sceneKey]string{}, current: map[matter.FabricIndex]sceneKey{}}
		var log []string
		for range 150 {
			f := fabrics[rnd.IntN(3)]
			random := func() sceneKey {
				k := sceneKey{f, rnd.IntN(3), rnd.IntN(12)}
				switch rnd.IntN(12) {
				case 0:
					k.group = 9
				case 1:
					k.scene = 255
				}
				return k
			}
			k, to := random(), random()
			one := fmt.Sprintf("{0:%d,1:%d}", k.group, k.scene)
			answer := func(id int, st int) string { return fmt.Sprintf("%d{0:%d,1:%d,2:%d}", id, st, k.group, k.scene) }
			var (
				id           matter.CommandID
				fields, want string
			)
			switch what := rnd.IntN(10); what {
			case 0, 1, 2:
				name := fmt.Sprintf("s%d", rnd.IntN(100))
				id, fields, want = addScene, fmt.Sprintf(`{0:%d,1:%d,2:7,3:"%s",4:[]}`, k.group, k.scene, name), answer(0, m.add(k, name))
			case 3, 4:
				id, fields, want = storeScene, one, answer(4, m.store(k))
			case 5, 6:
				all := rnd.IntN(2)
				id = copyScene
				fields = fmt.Sprintf("{0:%d,1:%d,2:%d,3:%d,4:%d}", all, k.group, k.scene, to.group, to.scene)
				want = answer(64, m.copy(all == 1, k, to))
			case 7:
				st := m.check(k)
				if _, is := m.names[k]; st == sceneSuccess && !is {
					st = sceneNotFound
				} else if st == sceneSuccess {
					m.remove(f, func(x sceneKey) bool { return x == k })
				}
				id, fields, want = removeScene, one, answer(2, st)
			case 8:
				if rnd.IntN(4) > 0 {
					continue
				}
				st := m.check(sceneKey{f, k.group, 0})
				if st == sceneSuccess {
					m.remove(f, func(x sceneKey) bool { return x.group == k.group })
				}
				id, fields, want = removeAll, fmt.Sprintf("{0:%d}", k.group), fmt.Sprintf("3{0:%d,1:%d}", st, k.group)
			case 9:
				r.report(percent(1 + float64(rnd.IntN(100))))
				m.valid = 0
				continue
			}
			log = append(log, fmt.Sprintf("fabric %d: %d%s", f, id, fields))
			if got := r.Invoke(clustertest.Admin(f), 2, scene, id, fields); got != want {
				t.Fatalf("seed %d: %s, want %s, after\n%s", seed, got, want, strings.Join(log, "\n"))
			}
			for _, f := range fabrics {
				for group := range 3 {
					if got, want := r.Invoke(clustertest.Admin(f), 2, scene, sceneList, fmt.Sprintf("{0:%d}", group)), m.list(f, group); got != want {
						t.Fatalf("seed %d: fabric %d, %s, want %s, after\n%s", seed, f, got, want, strings.Join(log, "\n"))
					}
				}
				info := r.Read(clustertest.Admin(f), 2, datamodel.ScenesManagementID, sceneSet)
				if valid := strings.Contains(info, "3:true"); valid != (m.valid == f) {
					t.Fatalf("seed %d: fabric %d has %s, want valid %v, after\n%s", seed, f, info, m.valid == f, strings.Join(log, "\n"))
				}
			}
		}
		for k, name := range m.names {
			got := r.Invoke(clustertest.Admin(k.fabric), 2, scene, viewScene, fmt.Sprintf("{0:%d,1:%d}", k.group, k.scene))
			if !strings.Contains(got, `4:"`+name+`"`) {
				t.Errorf("seed %d: scene %v is %s, want the name %q", seed, k, got, name)
			}
		}
	}
}
