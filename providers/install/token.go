package install

import (
	"bytes"
	"strings"
	"unicode"
)

// word begins what an installer writes for 3rc, on a line of its own: "done NONCE",
// "failed NONCE REASON" or "stage TEXT" follow.
const word = "3rc-install:"

// longestLine bounds a line of a console: what is longer is cut.
const longestLine = 4096

// report is what an installer tells.
type report struct {
	kind   string // done, failed, stage
	nonce  string // not of a stage
	detail string // the reason, or the stage
}

// reportIn reads a line of a console. The word must begin it, but for the time that
// a kernel writes before what goes to /dev/kmsg: the trace of a script that is about
// to tell, "+ echo 3rc-install: done …", is no report.
func reportIn(line string) (report, bool) {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "[") {
		if stamp, rest, ok := strings.Cut(line[1:], "]"); ok && strings.Trim(stamp, " 0123456789.") == "" {
			line = strings.TrimSpace(rest)
		}
	}
	rest, ok := strings.CutPrefix(line, word)
	if !ok {
		return report{}, false
	}
	kind, rest, _ := strings.Cut(strings.TrimSpace(rest), " ")
	r := report{kind: kind, detail: strings.TrimSpace(rest)}
	switch kind {
	case "stage":
		return r, r.detail != ""
	case "done", "failed":
		r.nonce, r.detail, _ = strings.Cut(r.detail, " ")
		r.detail = strings.TrimSpace(r.detail)
		return r, r.nonce != ""
	}
	return report{}, false
}

// lines cuts a stream into lines that people can read: without control characters,
// and none longer than longestLine.
type lines struct{ rest []byte }

func (l *lines) take(p []byte) []string {
	var out []string
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\r\n")
		if i < 0 {
			l.rest = append(l.rest, p[:min(len(p), max(0, longestLine-len(l.rest)))]...)
			break
		}
		l.rest = append(l.rest, p[:min(i, max(0, longestLine-len(l.rest)))]...)
		if text := readable(string(l.rest)); text != "" {
			out = append(out, text)
		}
		l.rest, p = l.rest[:0], p[i+1:]
	}
	return out
}

// readable takes escape sequences of terminals and other control characters out.
func readable(s string) string {
	var b strings.Builder
	escape := false
	for i, r := range s {
		switch {
		case escape:
			// CSI sequences end with a letter; all others are one character long.
			escape = r == '[' && s[i-1] == 0x1b || r == ';' || r == '?' || unicode.IsDigit(r)
		case r == 0x1b:
			escape = true
		case r == '\t':
			b.WriteByte(' ')
		case unicode.IsControl(r) || r == unicode.ReplacementChar:
		default:
			b.WriteRune(r)
		}
	}
	return strings.TrimRight(b.String(), " ")
}
