package whatif

import (
	"math"
	"time"

	"3rc/reconcile"
)

// FormatVersion of Document. It grows when a name changes its meaning or goes away.
const FormatVersion = "1.0"

// Document is a Matrix for programs. Times are in seconds; null: it does not come.
type Document struct {
	FormatVersion string      `json:"format_version"`
	Cluster       string      `json:"cluster"`
	Source        string      `json:"source"`
	Manner        string      `json:"manner"` // power, or silent
	K             int         `json:"k,omitempty"`
	By            string      `json:"by,omitempty"`
	Tolerate      int         `json:"tolerate"`
	TolerateOK    bool        `json:"tolerate_ok"`
	Violations    []Violation `json:"violations"`
	Homeless      []string    `json:"homeless"` // guests that have no place even now
	Unseen        []string    `json:"unseen"`
	Times         timesOf     `json:"times"`
	Losses        []lossOf    `json:"losses"`
}

type timesOf struct {
	Ask      float64            `json:"ask_s"`
	Order    float64            `json:"order_s"`
	Start    float64            `json:"start_s"`
	Stop     float64            `json:"stop_s"`
	Boot     float64            `json:"boot_s"`
	Install  float64            `json:"install_s"`
	Measured map[string]float64 `json:"measured"` // by "start GUEST", "boot GUEST", "install GUEST", "order HOST"
}

type lossOf struct {
	Hosts   []string   `json:"hosts"`
	Label   string     `json:"label,omitempty"`
	Stopped string     `json:"stopped,omitempty"` // why nothing is recovered at all
	Courses []courseOf `json:"courses"`
	Guests  []guestOf  `json:"guests"`
	Then    *lossOf    `json:"confirmed,omitempty"` // the same, once people have confirmed the hosts off
}

type courseOf struct {
	Host    string   `json:"host"`
	Suspect float64  `json:"suspect_s"`
	Down    *float64 `json:"down_s"` // null: found off before
	Off     *float64 `json:"off_s"`
	Ordered bool     `json:"ordered"`
	Held    string   `json:"held,omitempty"`
}

type guestOf struct {
	Name     string   `json:"name"`
	From     string   `json:"from"`
	To       *string  `json:"to"`
	Outcome  Outcome  `json:"outcome"`
	Yields   bool     `json:"yields,omitempty"`
	Begun    *float64 `json:"begun_s"`
	Downtime *float64 `json:"downtime_s"`
	Why      string   `json:"why"`
}

// seconds rounds to milliseconds, which is finer than anything here is known.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

func maybe(d time.Duration, there bool) *float64 {
	if !there {
		return nil
	}
	s := seconds(d)
	return &s
}

// Document is the matrix for programs.
func (m *Matrix) Document() *Document {
	d := &Document{
		FormatVersion: FormatVersion, Cluster: m.Cluster, Source: m.Source, Manner: m.manner(), K: m.K, By: m.By, Tolerate: m.Tolerate, TolerateOK: m.OK(),
		Violations: append([]Violation{}, m.Violations...), Homeless: append([]string{}, m.Homeless...), Unseen: append([]string{}, m.Unseen...),
		Times: m.Times.document(), Losses: []lossOf{},
	}
	for i := range m.Losses {
		d.Losses = append(d.Losses, m.Losses[i].document())
	}
	return d
}

func (m *Matrix) manner() string {
	if m.Silent {
		return "silent"
	}
	return "power"
}

func (t *Times) document() timesOf {
	out := timesOf{Ask: seconds(t.Ask), Order: seconds(t.Order), Start: seconds(t.Start), Stop: seconds(t.Stop), Boot: seconds(t.Boot), Install: seconds(t.Install), Measured: map[string]float64{}}
	for what, by := range t.Measured.kinds() {
		for name, d := range by {
			out.Measured[what+" "+name] = seconds(d)
		}
	}
	return out
}

func (l *Loss) document() lossOf {
	out := lossOf{Hosts: l.Hosts, Label: l.Label, Stopped: l.Stopped, Courses: []courseOf{}, Guests: []guestOf{}}
	for i, c := range l.Courses {
		out.Courses = append(out.Courses, courseDocument(l.Hosts[i], c, l.Stopped != ""))
	}
	for _, f := range l.Fates {
		g := guestOf{Name: f.Guest, From: f.From, Outcome: f.Outcome, Yields: f.Yields, Begun: maybe(f.Begun, f.Recovered()), Downtime: maybe(f.Down, f.Recovered()), Why: f.Why}
		if f.Recovered() {
			g.To = &f.To
		}
		out.Guests = append(out.Guests, g)
	}
	if l.Then != nil {
		then := l.Then.document()
		out.Then = &then
	}
	return out
}

func courseDocument(host string, c reconcile.Course, stopped bool) courseOf {
	off := c.Held == "" && !(stopped && c.Ordered)
	return courseOf{Host: host, Suspect: seconds(c.Suspect), Down: maybe(c.Down, c.Down > 0), Off: maybe(c.Off, off), Ordered: c.Ordered, Held: c.Held}
}
