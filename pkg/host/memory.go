package host

import (
	"os"
	"path"
	"strconv"
	"strings"
)

// MemoryLimit returns how many octets of memory the process may use, by its control group
// and those above it (cgroup v2, memory.max). 0: there is no limit, or it is not known.
func MemoryLimit() uint64 { return memoryLimit("/proc/self/cgroup", "/sys/fs/cgroup") }

func memoryLimit(self, root string) (limit uint64) {
	b, err := os.ReadFile(self)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue // cgroup v1
		}
		for dir := path.Clean("/" + group); ; dir = path.Dir(dir) {
			b, err := os.ReadFile(path.Join(root, dir, "memory.max"))
			n, parsed := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64) // "max": none
			if err == nil && parsed == nil && (limit == 0 || n < limit) {
				limit = n
			}
			if dir == "/" {
				break
			}
		}
	}
	return limit
}
