package schema

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Size is a number of bytes. In a configuration it is a string with a unit:
// B; KB, MB, GB, TB, PB are powers of 1000, KiB … PiB powers of 1024 (IEC 80000-13).
type Size uint64

var sizeUnits = map[string]float64{
	"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50,
}

// ParseSize reads a size. The error tells the remedy.
func ParseSize(s string) (Size, error) {
	t := strings.TrimSpace(s)
	i := strings.IndexFunc(t, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i < 0 {
		return 0, fmt.Errorf("%q has no unit; write for example %q", s, t+"MiB")
	}
	number, unit := t[:i], strings.TrimSpace(t[i:])
	factor, ok := sizeUnits[unit]
	if !ok {
		return 0, fmt.Errorf("%q is not a size: the unit must be one of B, KB, MB, GB, TB, PB, KiB, MiB, GiB, TiB, PiB, as in %q", s, "2GiB")
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size: write a number and a unit, as in %q", s, "2GiB")
	}
	b := v * factor
	// 2^63 is where libvirt's own signed lengths end.
	if b >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is more than any host can hold", s)
	}
	return Size(math.Ceil(b)), nil
}

// String gives the size in the largest IEC unit that loses nothing.
func (s Size) String() string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	v, u := uint64(s), 0
	for v != 0 && v%1024 == 0 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	return strconv.FormatUint(v, 10) + units[u]
}

// KiB rounds up to the unit in which libvirt stores memory.
func (s Size) KiB() uint64 { return (uint64(s) + 1023) / 1024 }

// Duration is a span of time, written as Go writes it ("1m30s").
type Duration time.Duration

func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// ParseDuration reads a duration. The error tells the remedy.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(strings.TrimSpace(s))
	if err != nil {
		if _, nerr := strconv.ParseFloat(strings.TrimSpace(s), 64); nerr == nil {
			return 0, fmt.Errorf("%q has no unit; write for example %q", s, strings.TrimSpace(s)+"s")
		}
		return 0, fmt.Errorf("%q is not a duration: write numbers with the units ms, s, m or h, as in %q or %q", s, "90s", "1h30m")
	}
	if d < 0 {
		return 0, fmt.Errorf("%q is negative; a time is 0s or more", s)
	}
	return Duration(d), nil
}

// Percent is a share of a whole, 0 to 100, written "34%".
type Percent int

func (p Percent) String() string { return strconv.Itoa(int(p)) + "%" }

// ParsePercent reads a percentage. The error tells the remedy.
func ParsePercent(s string) (Percent, error) {
	n, ok := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.Atoi(strings.TrimSpace(n))
	if !ok || err != nil || v < 0 || v > 100 {
		return 0, fmt.Errorf("%q is not a percentage: write a whole number from 0 to 100 and a percent sign, as in %q", s, "34%")
	}
	return Percent(v), nil
}

// Text is a string that may be or contain a secret. Nothing that prints shows
// one; Reveal does, and only the edges that hand it to a guest or a device call
// it. A secret lies behind a pointer, because fmt looks into every field where
// a verb does not fit.
type Text struct {
	shown  string
	hidden *string
	Secret bool
}

// Plain makes a Text that is no secret.
func Plain(s string) Text { return Text{shown: s} }

// Hidden makes a secret Text.
func Hidden(s string) Text { return Text{hidden: &s, Secret: true} }

func newText(s string, secret bool) Text {
	if secret {
		return Hidden(s)
	}
	return Plain(s)
}

// Masked is what is shown in place of a secret.
const Masked = "(sensitive value)"

func (t Text) String() string {
	if t.hidden != nil {
		return Masked
	}
	return t.shown
}

// Format keeps every verb of fmt from showing a secret: %d, for one, would not
// ask String.
func (t Text) Format(f fmt.State, verb rune) {
	s := t.String()
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		s = strconv.Quote(s)
	}
	_, _ = f.Write([]byte(s))
}

// MarshalText keeps every encoder from showing a secret.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Reveal returns the string itself.
func (t Text) Reveal() string {
	if t.hidden != nil {
		return *t.hidden
	}
	return t.shown
}

// Empty tells whether there is no text at all.
func (t Text) Empty() bool { return t.Reveal() == "" }

// Ref names an object of the configuration.
type Ref struct {
	Kind    string // host, vm, pool …
	Address string // host.h1, vm.web[0], vm.db["a"]
	Name    string // what libvirt calls it
	Range   hcl.Range
}

// Names returns the names of the references, in their order.
func Names(rs []Ref) []string {
	if rs == nil {
		return nil
	}
	out := make([]string, len(rs))
	for i, r := range rs {
		out[i] = r.Name
	}
	return out
}
