package main

import (
	"fmt"
	"io"
	"time"

	"3rc/apply"
	"3rc/plan"
	"3rc/schema"
)

// progress prints what a run does, one line for each change of a stage. Long
// operations say every few seconds that they are still at work.
type progress struct {
	out   io.Writer
	quiet bool
	total int
	done  int
	begun time.Time
	told  map[int]time.Duration
	notes map[int]string
}

// tellEvery is how often a long operation is heard of.
const tellEvery = 5 * time.Second

func newProgress(a *app, p *plan.Plan) *progress {
	if !a.jsonOut {
		fmt.Fprintln(a.out)
	}
	return &progress{out: a.out, quiet: a.jsonOut, total: len(p.Ops), begun: time.Now(), told: map[int]time.Duration{}, notes: map[int]string{}}
}

// words say in the present what each verb does.
var words = map[plan.Verb]string{
	plan.PoolDefine: "defining pool", plan.PoolBuild: "building pool", plan.PoolStart: "starting pool", plan.PoolStop: "stopping pool",
	plan.PoolRefresh: "refreshing pool", plan.PoolUndefine: "undefining pool",
	plan.NetworkDefine: "defining network", plan.NetworkStart: "starting network", plan.NetworkStop: "stopping network", plan.NetworkUndefine: "undefining network", plan.NetworkUpdate: "changing the DHCP server of network",
	plan.VolumeAbsent: "looking for volume", plan.VolumeCreate: "making volume", plan.VolumeClone: "copying volume", plan.VolumeUpload: "uploading volume",
	plan.VolumeGrow: "growing volume", plan.VolumeDelete: "deleting volume",
	plan.DomainDefine: "defining", plan.DomainMark: "marking", plan.DomainRename: "renaming", plan.DomainStart: "starting", plan.DomainResume: "resuming", plan.DomainSuspend: "suspending", plan.DomainInstall: "installing", plan.DomainShutdown: "shutting down",
	plan.DomainDestroy: "destroying", plan.DomainUndefine: "undefining", plan.DomainMigrate: "migrating", plan.DomainAttach: "attaching a device to",
	plan.DomainDetach: "detaching a device from", plan.DomainUpdate: "changing a device of", plan.DomainMemory: "setting the memory of",
	plan.DomainVCPUs: "setting the CPUs of", plan.DomainBlockGrow: "growing a disk of", plan.DomainDescribe: "describing", plan.SetAutostart: "setting autostart of",
}

func sentence(op plan.Op) string {
	where := " on " + op.Host
	if op.Dest != "" {
		where = " from " + op.Host + " to " + op.Dest
	}
	return op.Address + ": " + words[op.Verb] + " " + op.Name + where
}

func (p *progress) report(e apply.Event) {
	if e.Stage == apply.Done || e.Stage == apply.Failed || e.Stage == apply.Skipped {
		p.done++
	}
	if p.quiet {
		return
	}
	elapsed := e.Elapsed.Round(10 * time.Millisecond)
	switch e.Stage {
	case apply.Progress:
		if e.Elapsed-p.told[e.Op.ID] < tellEvery && p.notes[e.Op.ID] == e.Note {
			return
		}
		p.told[e.Op.ID], p.notes[e.Op.ID] = e.Elapsed, e.Note
		part := ""
		if e.Note != "" {
			part = ", " + e.Note
		}
		switch {
		case e.Op.Verb == plan.DomainInstall:
			part += installed(e)
		case e.Whole > 0:
			part += fmt.Sprintf(", %d%% of %s", e.Part*100/e.Whole, schema.Size(e.Whole))
		}
		fmt.Fprintf(p.out, "%s … %s%s\n", sentence(e.Op), elapsed, part)
	case apply.Done:
		fmt.Fprintf(p.out, "[%*d/%d] %s (%s)\n", len(fmt.Sprint(p.total)), p.done, p.total, sentence(e.Op), elapsed)
	case apply.Failed:
		fmt.Fprintf(p.out, "FAILED after %s: %s\n    %v\n", elapsed, sentence(e.Op), e.Err)
	case apply.Skipped:
		fmt.Fprintf(p.out, "not begun: %s (%v)\n", sentence(e.Op), e.Err)
	}
}

// installed says how far an installation is by the time that the last one of its
// profile took; both are milliseconds.
func installed(e apply.Event) string {
	left := time.Duration(e.Whole-min(e.Whole, e.Part)) * time.Millisecond
	if left < time.Second {
		return ""
	}
	return fmt.Sprintf(", about %s left", left.Round(time.Second))
}

func (p *progress) end() {
	if !p.quiet {
		fmt.Fprintf(p.out, "%s in all.\n", time.Since(p.begun).Round(10*time.Millisecond))
	}
}
