package incident

import (
	"fmt"
	"time"

	"3rc/schema"
)

// clock is a time of the day. Times of the day are in UTC, as the journal's are.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// Length is a length of time for people.
func Length(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Length(-d)
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return schema.Duration(d.Round(time.Second)).String()
}

// times is a number of times in words.
func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}
