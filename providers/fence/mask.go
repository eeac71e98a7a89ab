package fence

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"sort"
	"strings"
	"unicode"

	"3rc/schema"
)

// mask hides the secrets of a device in what it says: agents print the options
// that they were given, and services send requests back.
type mask struct {
	replace *strings.Replacer
	longest int
}

// newMask knows each secret as it is, and as shells, URLs, JSON, XML and headers
// write it.
func newMask(user string, secrets []string) *mask {
	known := map[string]bool{}
	for _, s := range secrets {
		if s == "" {
			continue
		}
		quoted, _ := json.Marshal(s) // of a string: never an error
		for _, form := range []string{
			s, strings.TrimSpace(s), strings.Trim(string(quoted), `"`),
			strings.ReplaceAll(s, "'", `'"'"'`), strings.ReplaceAll(s, "'", `'\''`), strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s),
			url.QueryEscape(s), url.PathEscape(s), url.UserPassword("", s).String()[1:], html.EscapeString(s),
			base64.StdEncoding.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte(user + ":" + s)),
		} {
			if form != "" {
				known[form] = true
			}
		}
	}
	m := &mask{}
	var forms []string
	for f := range known {
		forms = append(forms, f)
		m.longest = max(m.longest, len(f))
	}
	// Of two that begin alike the longer is hidden, or its end would be seen.
	sort.Slice(forms, func(i, j int) bool {
		return len(forms[i]) > len(forms[j]) || len(forms[i]) == len(forms[j]) && forms[i] < forms[j]
	})
	var pairs []string
	for _, f := range forms {
		pairs = append(pairs, f, schema.Masked)
	}
	m.replace = strings.NewReplacer(pairs...)
	return m
}

func (m *mask) text(s string) string { return m.replace.Replace(s) }

const (
	// mostSaid bounds what is told of a device's words, in lines and in bytes.
	mostSaid      = 3
	mostSaidBytes = 300
)

// stamp is how fence-agents begin their messages.
var stamp = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ +`)

// said gives the last lines of a program's words, without secrets, on one line.
// Cut says that their beginning is missing, and with it perhaps that of a secret.
func (m *mask) said(words string, cut bool) string {
	words = m.text(words)
	if cut {
		words = words[min(m.longest, len(words)):]
	}
	var lines []string
	for _, l := range strings.FieldsFunc(words, func(r rune) bool { return r == '\n' || r == '\r' }) {
		l = stamp.ReplaceAllString(strings.TrimSpace(printable(l)), "")
		if l != "" && (len(lines) == 0 || lines[len(lines)-1] != l) {
			lines = append(lines, l)
		}
	}
	lines = lines[max(0, len(lines)-mostSaid):]
	return brief(strings.Join(lines, "; "))
}

func brief(s string) string {
	if len(s) > mostSaidBytes {
		s = strings.ToValidUTF8(s[:mostSaidBytes], "") + "…"
	}
	return s
}

// printable keeps a device from moving the cursor of whoever reads.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
