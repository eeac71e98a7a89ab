package review

// FormatVersion of the JSON document.
const FormatVersion = "1.0"

// Document is a review as JSON.
type Document struct {
	FormatVersion string        `json:"format_version"`
	Base          string        `json:"base"`
	Head          string        `json:"head"`
	Worse         bool          `json:"worse"`
	Notes         []string      `json:"notes"`
	Changes       []changeDoc   `json:"changes"`
	Losses        *lossesDoc    `json:"losses"` // null: they cannot be told
	Scenarios     []scenarioDoc `json:"scenarios"`
	Warnings      []warningDoc  `json:"warnings"` // new ones
	Cleared       []warningDoc  `json:"cleared"`  // those that are gone
}

type changeDoc struct {
	Subjects []string `json:"subjects"`
	Text     string   `json:"text"`
}

type lossesDoc struct {
	K      int       `json:"k"`
	Before matrixDoc `json:"before"`
	After  matrixDoc `json:"after"`
	Differ []lossDoc `json:"differ"`
}

type matrixDoc struct {
	Known      bool     `json:"known"`
	Losses     int      `json:"losses"`
	TolerateOK bool     `json:"tolerate_ok"`
	Broken     []string `json:"broken"`
	Homeless   []string `json:"homeless"`
	Stranded   int      `json:"stranded"`
	LongestS   float64  `json:"longest_s"`
	LongestOf  string   `json:"longest_of"`
}

type lossDoc struct {
	Hosts  string         `json:"hosts"`
	Worse  bool           `json:"worse"`
	Before string         `json:"before"`
	After  string         `json:"after"`
	Guests []guestLossDoc `json:"guests"`
}

type guestLossDoc struct {
	Guest  string `json:"guest"`
	Before string `json:"before"`
	After  string `json:"after"`
}

type scenarioDoc struct {
	Name      string        `json:"name"`
	Before    Verdict       `json:"before"` // "": not there
	After     Verdict       `json:"after"`
	Why       []string      `json:"why"`
	Downtimes []downtimeDoc `json:"downtimes"`
}

type downtimeDoc struct {
	Guest   string  `json:"guest"`
	BeforeS float64 `json:"before_s"`
	AfterS  float64 `json:"after_s"`
}

type warningDoc struct {
	Summary string `json:"summary"`
	Detail  string `json:"detail"`
	File    string `json:"file"`
	Line    int    `json:"line"`
}

// Document gives the review as JSON has it.
func (r *Review) Document(h Header) *Document {
	d := &Document{
		FormatVersion: FormatVersion, Base: h.Base, Head: h.Head, Worse: r.Worse(), Notes: append(append([]string{}, h.Notes...), r.Notes...),
		Changes: []changeDoc{}, Scenarios: []scenarioDoc{}, Warnings: warningDocs(r.Warnings), Cleared: warningDocs(r.Cleared),
	}
	for _, c := range r.Changes {
		d.Changes = append(d.Changes, changeDoc{append([]string{}, c.Subjects...), c.Text})
	}
	if l := r.Losses; l != nil {
		d.Losses = &lossesDoc{K: l.K, Before: l.Before.document(), After: l.After.document(), Differ: []lossDoc{}}
		for _, x := range l.Differ {
			doc := lossDoc{Hosts: x.Hosts, Worse: x.Worse, Before: x.Before.text(), After: x.After.text(), Guests: []guestLossDoc{}}
			for _, g := range x.Guests {
				doc.Guests = append(doc.Guests, guestLossDoc(g))
			}
			d.Losses.Differ = append(d.Losses.Differ, doc)
		}
	}
	for _, s := range r.Scenarios {
		doc := scenarioDoc{Name: s.Name, Before: s.Before, After: s.After, Why: append([]string{}, s.Why...), Downtimes: []downtimeDoc{}}
		for _, x := range s.Downtimes {
			doc.Downtimes = append(doc.Downtimes, downtimeDoc{x.Guest, x.Before.Seconds(), x.After.Seconds()})
		}
		d.Scenarios = append(d.Scenarios, doc)
	}
	return d
}

func (m *Matrix) document() matrixDoc {
	return matrixDoc{
		Known: m.Known, Losses: m.Losses, TolerateOK: len(m.Broken) == 0, Broken: append([]string{}, m.Broken...), Homeless: append([]string{}, m.Homeless...),
		Stranded: m.Stranded, LongestS: m.Longest.Seconds(), LongestOf: m.LongestOf,
	}
}

func warningDocs(list []Warning) []warningDoc {
	out := []warningDoc{}
	for _, w := range list {
		out = append(out, warningDoc(w))
	}
	return out
}
