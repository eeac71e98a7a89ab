package api

import (
	"log"
	"strings"
)

// quiet is the logger that net/http wants.
func quiet(tell func(msg string, args ...any)) *log.Logger { return log.New(lines{tell}, "", 0) }

type lines struct {
	tell func(msg string, args ...any)
}

func (l lines) Write(b []byte) (int, error) {
	if l.tell != nil {
		l.tell(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}
