package main

import (
	"encoding/json"
	"time"

	"3rc/reconcile/incident"
	"3rc/reconcile/replay"
)

// replayFormat of the document that replay prints.
const replayFormat = "1.0"

type replayJSON struct {
	FormatVersion string            `json:"format_version"`
	Cluster       string            `json:"cluster"`
	From          time.Time         `json:"from"`
	To            time.Time         `json:"to"`
	Same          bool              `json:"same"` // everything that could be compared
	Runs          int               `json:"runs"`
	Inputs        int               `json:"inputs"`
	Compared      int               `json:"compared"` // decisions and operations
	Inexact       []string          `json:"inexact"`  // from where on nothing is compared, until the next run
	Differs       *replayDiffers    `json:"differs"`
	Hosts         map[string][]lane `json:"hosts"`
	Guests        map[string][]lane `json:"guests"`
	Other         *comparisonJSON   `json:"other"` // null without -config
}

type replayDiffers struct {
	At    string          `json:"at"` // since the watch began
	After string          `json:"after"`
	Then  json.RawMessage `json:"then"` // null: nothing was decided
	Now   json.RawMessage `json:"now"`
}

// lane is a stretch of time in one state.
type lane struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	State string    `json:"state"`
	Host  string    `json:"host,omitempty"` // of a guest
	Why   string    `json:"why,omitempty"`
}

type comparisonJSON struct {
	Differences []differenceJSON `json:"differences"`
	Downtimes   []downtimeJSON   `json:"downtimes"`
	BeforeS     float64          `json:"before_s"` // of all guests together
	AfterS      float64          `json:"after_s"`
	Assumed     []string         `json:"assumed"`
	Warnings    []string         `json:"warnings"`
}

type differenceJSON struct {
	Subject   string   `json:"subject"`
	Sentences []string `json:"sentences"`
}

type downtimeJSON struct {
	Guest     string  `json:"guest"`
	RecordedS float64 `json:"recorded_s"`
	BeforeS   float64 `json:"before_s"`
	AfterS    float64 `json:"after_s"`
}

func replayDocument(h *incident.History, res *replay.Result, c *incident.Comparison) *replayJSON {
	doc := &replayJSON{
		FormatVersion: replayFormat, Cluster: h.Cluster, From: h.From.UTC(), To: h.To.UTC(), Same: res.Differs == nil, Runs: res.Runs, Inputs: res.Inputs, Compared: res.Decisions,
		Inexact: append([]string{}, res.Inexact...), Hosts: lanes(h.Hosts), Guests: lanes(h.Guests),
	}
	raw := func(s string) json.RawMessage {
		if s == "" {
			return json.RawMessage("null")
		}
		return json.RawMessage(s)
	}
	if d := res.Differs; d != nil {
		doc.Differs = &replayDiffers{At: d.At.String(), After: inputText(d.Input), Then: raw(d.Then), Now: raw(d.Now)}
	}
	if c == nil {
		return doc
	}
	before, after := c.Total()
	o := &comparisonJSON{Differences: []differenceJSON{}, Downtimes: []downtimeJSON{}, BeforeS: before.Seconds(), AfterS: after.Seconds(), Assumed: append([]string{}, c.Assumed...), Warnings: append([]string{}, c.Warnings...)}
	for _, d := range c.Differences {
		o.Differences = append(o.Differences, differenceJSON{d.Subject, d.Sentences})
	}
	for _, d := range c.Downtimes {
		o.Downtimes = append(o.Downtimes, downtimeJSON{d.Guest, d.Recorded.Seconds(), d.Before.Seconds(), d.After.Seconds()})
	}
	doc.Other = o
	return doc
}

func lanes(of map[string][]incident.Span) map[string][]lane {
	out := map[string][]lane{}
	for name, spans := range of {
		for _, s := range spans {
			out[name] = append(out[name], lane{s.From.UTC(), s.To.UTC(), s.State, s.Host, s.Why})
		}
	}
	return out
}
