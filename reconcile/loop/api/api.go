// Package api is how people and programs speak to a running watch: a small HTTP
// interface over a socket in the directory of its state, which answers questions
// and takes orders, and over a network address, if the configuration names one.
// docs/api.md describes each request and each field.
//
// It decides nothing: what the watch says and does is its Backend's. Previews and
// statuses are made here from the machine, so that every Backend gives the same.
package api

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"3rc/reconcile"
)

// FormatVersion is of every document that the API gives. A field may be added
// without a change of it; one that is taken away or means something else changes it.
const FormatVersion = "1.0"

// Backend is the watch behind the API. Its methods are called from several
// goroutines at once, and end soon after their context.
type Backend interface {
	// Status says how things stand.
	Status(ctx context.Context) (*Status, error)
	// Preview says what an order would do at this moment, and changes nothing.
	Preview(ctx context.Context, o Order) (*Preview, error)
	// Order gives an order. That it is refused is no error, but in the Result.
	Order(ctx context.Context, o Order) (*Result, error)
	// Follow gives the decisions after that number as they are taken, until the
	// context ends; then the channel is closed. See Feed.
	Follow(ctx context.Context, since uint64) <-chan Entry
}

// Order is what a person orders.
type Order struct {
	Verb  reconcile.Verb `json:"verb"`
	Host  string         `json:"host,omitempty"`
	Guest string         `json:"guest,omitempty"`
	By    string         `json:"by,omitempty"` // who, for the journal
}

// Ordered is the order as the machine takes it.
func (o Order) Ordered() reconcile.Ordered {
	return reconcile.Ordered{Verb: o.Verb, Host: o.Host, Guest: o.Guest, By: o.By}
}

// Verbs are all orders, in the order in which they are told of.
var Verbs = []reconcile.Verb{
	reconcile.Drain, reconcile.Undrain, reconcile.MigrateTo, reconcile.FenceHost, reconcile.ConfirmOff,
	reconcile.Clear, reconcile.PauseAll, reconcile.ResumeAll,
}

// Needs tells what an order must name.
func Needs(v reconcile.Verb) (host, guest bool) {
	switch v {
	case reconcile.Drain, reconcile.Undrain, reconcile.FenceHost, reconcile.ConfirmOff:
		return true, false
	case reconcile.MigrateTo:
		return true, true
	case reconcile.Clear:
		return false, true
	}
	return false, false
}

// longestName bounds the names in an order: libvirt's own bound is far lower.
const longestName = 255

// check says what is wrong with the form of an order, or nothing.
func (o Order) check() error {
	var known []string
	for _, v := range Verbs {
		known = append(known, string(v))
	}
	ok := false
	for _, v := range Verbs {
		ok = ok || v == o.Verb
	}
	host, guest := Needs(o.Verb)
	switch {
	case !ok:
		return fmt.Errorf("verb must be one of %s", strings.Join(known, ", "))
	case host != (o.Host != ""):
		return fmt.Errorf("%s %s", o.Verb, map[bool]string{true: "needs a host", false: "takes no host"}[host])
	case guest != (o.Guest != ""):
		return fmt.Errorf("%s %s", o.Verb, map[bool]string{true: "needs a guest", false: "takes no guest"}[guest])
	}
	for _, s := range []string{o.Host, o.Guest, o.By} {
		if len(s) > longestName || strings.ContainsFunc(s, unicode.IsControl) {
			return fmt.Errorf("names are at most %d bytes long and have no control characters", longestName)
		}
	}
	return nil
}

// Preview is what an order would do.
type Preview struct {
	FormatVersion string `json:"format_version"`
	OK            bool   `json:"ok"`
	// Why it would be refused, and what to do instead; if it would not, what should
	// be known of it before it is given.
	Why string `json:"why"`
	// Does says what it would do, in lines for people.
	Does []string `json:"does"`
	// Guests are those that it concerns.
	Guests []Fate `json:"guests"`
}

// Fate is what an order would mean for one guest.
type Fate struct {
	Guest  string `json:"guest"`
	From   string `json:"from"`
	To     string `json:"to"`     // "": it goes nowhere
	Live   bool   `json:"live"`   // it goes there by live migration
	Why    string `json:"why"`    // it goes nowhere: why
	Dies   bool   `json:"dies"`   // its process would be killed
	Yields bool   `json:"yields"` // it would be shut down to make room
}

// Result is what came of an order at once.
type Result struct {
	FormatVersion string `json:"format_version"`
	Accepted      bool   `json:"accepted"`
	// Why it was refused, and what to do instead; if it was not, what should be known.
	Why string `json:"why"`
	// Seq is the number of the last decision before the order: what came of it is
	// told by those after.
	Seq uint64 `json:"seq"`
}

// Entry is one decision of the watch.
type Entry struct {
	Seq     uint64    `json:"seq"`
	At      time.Time `json:"at"`
	Host    string    `json:"host,omitempty"`
	Guest   string    `json:"guest,omitempty"`
	Rule    string    `json:"rule"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to,omitempty"`
	Because string    `json:"because,omitempty"`
	Not     string    `json:"not,omitempty"`    // what was not done, and why
	Tell    bool      `json:"tell,omitempty"`   // people are told of it
	Missed  uint64    `json:"missed,omitempty"` // so many decisions before this one are no longer kept
}

// EntryOf is a record of the machine with its time on the wall clock. A Feed
// gives it its number.
func EntryOf(r reconcile.Record, at time.Time) Entry {
	return Entry{At: at.UTC(), Host: r.Host, Guest: r.Guest, Rule: r.Rule, From: r.From, To: r.To, Because: r.Because, Not: r.Not, Tell: r.Tell}
}

// String is the decision in one line, without its time.
func (e Entry) String() string {
	who := e.Guest
	if who == "" {
		who = e.Host
	}
	if who == "" {
		who = "watch"
	}
	var b strings.Builder
	b.WriteString(who + ": " + e.Rule)
	switch {
	case e.From != "" && e.To != "":
		b.WriteString(", " + e.From + " -> " + e.To)
	case e.To != "":
		b.WriteString(", " + e.To)
	}
	if e.Because != "" {
		b.WriteString(" (" + e.Because + ")")
	}
	if e.Not != "" {
		b.WriteString("; " + e.Not)
	}
	return b.String()
}
