package loop

import (
	"context"
	"time"

	"3rc/providers/store"
	"3rc/reconcile"
)

// reloadLimit bounds the reading of a configuration. 5,000 guests take under a
// second; images whose checksum is to be found out may take minutes.
const reloadLimit = 10 * time.Minute

// reloads is the reading of the configuration: one at a time.
type reloads struct {
	busy    bool
	again   bool
	digest  string // of what is in force
	refused string // why the newest files are not in force; ""
}

// reload reads the configuration anew, because of a hint that it changed. What is
// invalid changes nothing, and is told once.
func (l *Loop) reload(why string) {
	if l.opts.Reload == nil || l.ending {
		return
	}
	if l.reloads.busy {
		l.reloads.again = true
		return
	}
	l.reloads.busy = true
	l.log.Debug("the configuration is read again", "why", why)
	type outcome struct {
		loaded *Loaded
		err    error
	}
	within(l, reloadLimit, func(ctx context.Context) outcome {
		c, err := l.opts.Reload(ctx)
		return outcome{c, err}
	}, outcome{err: context.DeadlineExceeded}, func(v outcome) {
		l.reloads.busy = false
		if v.err != nil {
			l.refuse(v.err)
		} else {
			l.configure(v.loaded)
		}
		if l.reloads.again {
			l.reloads.again = false
			l.reload("it changed while it was read")
		}
	})
}

func (l *Loop) refuse(err error) {
	text := err.Error()
	if text == l.reloads.refused {
		return
	}
	l.reloads.refused = text
	l.noted(reconcile.Record{At: l.now(), Rule: "edit ignored", Because: text, Not: "the configuration that was in force stays in force", Tell: true})
}

// configure puts a configuration in force.
func (l *Loop) configure(c *Loaded) {
	was := l.reloads.refused
	l.reloads.refused = ""
	if c.Digest == l.reloads.digest {
		if was != "" {
			l.noted(reconcile.Record{At: l.now(), Rule: "edit taken back", Because: "the files are again as what is in force", Tell: true})
		}
		return
	}
	l.reloads.digest = c.Digest
	l.cfg = c.Config
	l.limits = limitsOf(c.Config, l.limits)
	still := []string{}
	for _, h := range l.r.Machine().Hosts() {
		still = append(still, h.Name)
	}
	l.edges.Use(c.Config, c.Images, still)
	l.noted(reconcile.Record{At: l.now(), Rule: "configured", Because: "the files changed: " + short(c.Digest), Tell: true})
	now, self := l.now(), l.opts.Self(c.Config)
	l.write(now, store.Configured{Config: c.Digest, Files: c.Config, Self: self, Images: c.Images})
	defer l.changed()
	l.carryOut(l.r.Configure(c.Config, c.Images, self, now))
}

// changed has the files applied, if that is what the watch is for.
func (l *Loop) changed() {
	if l.opts.Mode == ApplyAll && l.edges.Planner != nil && !l.ending {
		l.applyChanged()
	}
}

func short(digest string) string { return digest[:min(12, len(digest))] }
