package main

import (
	"encoding/xml"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"3rc/reconcile/sim"
)

// The form of JUnit's reports that GitHub's actions, GitLab and Jenkins read
// (https://github.com/testmoapp/junitxml describes it). Its times are those of
// the rehearsals: a report does not change from run to run.
type junitReport struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
	virtual  time.Duration
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	File       string          `xml:"file,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
	virtual    time.Duration
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Name      string        `xml:"name,attr"`
	Classname string        `xml:"classname,attr"`
	File      string        `xml:"file,attr"`
	Line      int           `xml:"line,attr"`
	Time      string        `xml:"time,attr"`
	Failure   *junitFailure `xml:"failure"`
	Skipped   *junitSkipped `xml:"skipped"`
	Out       *junitText    `xml:"system-out"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Body    string `xml:",cdata"`
}

type junitSkipped struct {
	Message string `xml:"message,attr"`
}

type junitText struct {
	Body string `xml:",cdata"`
}

// junit is the report: a suite for each file, a case for each scenario. A case
// has one failure, as most readers show only the first; its body tells them all.
func (r *report) junit() []byte {
	doc := junitReport{Name: "3rc test"}
	for i, sc := range r.chosen {
		if n := len(doc.Suites); n == 0 || doc.Suites[n-1].Name != sc.Range.Filename {
			doc.Suites = append(doc.Suites, junitSuite{
				Name: sc.Range.Filename, File: sc.Range.Filename,
				Properties: []junitProperty{{"seed", fmt.Sprint(r.flags.seed)}, {"time", "virtual, of the rehearsals"}},
			})
		}
		s := &doc.Suites[len(doc.Suites)-1]
		c := junitCase{Name: sc.Name, Classname: strings.TrimSuffix(sc.Range.Filename, ".scenario.hcl"), File: sc.Range.Filename, Line: sc.Range.Start.Line}
		c.Time = junitTime(0)
		s.Tests++
		if x := r.results[i]; x == nil {
			c.Skipped = &junitSkipped{"interrupted before it was run"}
			s.Skipped++
		} else {
			r.junitResult(&c, x.Result)
			s.virtual += time.Duration(sc.Run)
			c.Time = junitTime(time.Duration(sc.Run))
		}
		if c.Failure != nil {
			s.Failures++
		}
		s.Cases = append(s.Cases, c)
	}
	for i := range doc.Suites {
		s := &doc.Suites[i]
		s.Time = junitTime(s.virtual)
		doc.Tests, doc.Failures, doc.Skipped = doc.Tests+s.Tests, doc.Failures+s.Failures, doc.Skipped+s.Skipped
		doc.virtual += s.virtual
	}
	doc.Time = junitTime(doc.virtual)
	out, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		panic("junit: what is made of text and numbers cannot be refused: " + err.Error())
	}
	return append([]byte(xml.Header), append(out, '\n')...)
}

func (r *report) junitResult(c *junitCase, res *sim.Result) {
	if !res.Passed() {
		all := unmet(res)
		first := fmt.Sprintf("%s: wanted: %s; got: %s", moment(all[0].At), all[0].Want, all[0].Got)
		if n := len(all) - 1; n > 0 {
			first += fmt.Sprintf(" (and %d more)", n)
		}
		plain := *r
		plain.style = style{width: columns(nil)}
		var b strings.Builder
		plain.explain(&b, res)
		c.Failure = &junitFailure{Message: first, Type: r.kind(all[0], res), Body: clean(b.String())}
	}
	if r.flags.verbose {
		plain := *r
		plain.style = style{}
		var b strings.Builder
		plain.whole(&b, res)
		c.Out = &junitText{clean(b.String())}
	}
}

// kind is what sort of failure it is, in a word.
func (r *report) kind(f sim.Failure, res *sim.Result) string {
	switch {
	case res.Err != nil:
		return "beginning"
	case always(f):
		return "always"
	case r.limits(f, res.Scenario):
		return "limit"
	}
	return "expectation"
}

func junitTime(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// clean replaces what XML cannot hold.
func clean(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\n' && c != '\t' || c == 0xFFFE || c == 0xFFFF {
			return utf8.RuneError
		}
		return c
	}, text)
}
