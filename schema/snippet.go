package schema

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcled"
)

// Excerpt is the source around a range, for programs.
type Excerpt struct {
	Context    string // the block that it stands in, as vm "web"; may be empty
	Code       string // the lines of the range, with secrets masked
	StartLine  int
	Start, End int // of the range, in bytes of Code
}

// Excerpt gives the lines of a range; ok tells whether there are any to show.
func (f *Files) Excerpt(r hcl.Range) (e Excerpt, ok bool) {
	src := f.masked(r.Filename)
	if len(src) == 0 || r.Start.Byte < 0 || r.Start.Byte > len(src) {
		return Excerpt{}, false
	}
	end := min(max(r.End.Byte, r.Start.Byte), len(src))
	from := bytes.LastIndexByte(src[:r.Start.Byte], '\n') + 1
	to := len(src)
	if i := bytes.IndexByte(src[end:], '\n'); i >= 0 {
		to = end + i
	}
	if end > r.Start.Byte && src[end-1] == '\n' {
		end, to = end-1, end-1 // the range ends with its line
	}
	return Excerpt{
		Context:   f.source(r.Filename).context(r.Start.Byte),
		Code:      string(src[from:to]),
		StartLine: r.Start.Line,
		Start:     r.Start.Byte - from,
		End:       end - from,
	}, true
}

// context names the block that a byte of the source stands in.
func (s *source) context(at int) string {
	if s.nav == nil {
		return ""
	}
	return hcled.ContextString(&hcl.File{Body: s.body, Bytes: s.bytes, Nav: s.nav}, at)
}
