package cluster

import "time"

// EachSecond reports a moving value at most once a second, and at once when it comes
// to rest, or to or from null (quieter reporting of levels and colors).
func EachSecond(was, is Number, age time.Duration, moving bool) time.Duration {
	if !moving || was.Null != is.Null {
		return 0
	}
	return time.Second - min(age, time.Second)
}
