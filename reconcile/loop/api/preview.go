package api

import (
	"fmt"

	"3rc/reconcile"
	"3rc/reconcile/round"
)

// PreviewOf puts what the watch found out of an order into words for people.
func PreviewOf(o Order, p round.Preview) *Preview {
	out := &Preview{FormatVersion: FormatVersion, OK: p.OK, Why: p.Words, Does: []string{}, Guests: []Fate{}}
	if !p.OK {
		return out
	}
	out.Does = append(out.Does, heading(o))
	for _, f := range p.Fates {
		out.Guests = append(out.Guests, Fate(f))
		out.Does = append(out.Does, "  "+line(f))
	}
	if len(p.Fates) == 0 && (o.Verb == reconcile.Drain || o.Verb == reconcile.FenceHost || o.Verb == reconcile.ConfirmOff) {
		out.Does = append(out.Does, "  none of our guests is there, as far as anyone knows")
	}
	return out
}

// heading says in one sentence what an order does.
func heading(o Order) string {
	switch o.Verb {
	case reconcile.Drain:
		return o.Host + " takes no guest any more, is not fenced, and its guests leave it:"
	case reconcile.Undrain:
		return o.Host + " is judged anew, and takes guests again once it is up."
	case reconcile.FenceHost:
		return o.Host + " is switched off, whatever of it answers, and its guests are started elsewhere once it is proven off:"
	case reconcile.ConfirmOff:
		return "Your word that " + o.Host + " is off is taken for a proof. If it is not true, guests run twice and their disks are lost. Its guests are started elsewhere:"
	case reconcile.MigrateTo:
		return o.Guest + " is moved to " + o.Host + ":"
	case reconcile.Clear:
		return "That " + o.Guest + " failed, its attempts and its flapping are forgotten; its recovery begins with the first rung."
	case reconcile.PauseAll:
		return "Nothing is fenced, started, moved or stopped by the watch until `3rc resume`; it goes on looking, and what is under way is finished."
	case reconcile.ResumeAll:
		return "The watch acts again, on what it sees now."
	}
	return fmt.Sprintf("There is no order %q.", o.Verb)
}

// line says what an order means for one guest.
func line(f round.Fate) string {
	dies := ""
	if f.Dies {
		dies = "is killed, and "
	}
	switch {
	case f.Yields:
		return fmt.Sprintf("%s is shut down on %s to make room: %s", f.Guest, f.From, f.Why)
	case f.To != "" && f.Live:
		return fmt.Sprintf("%s moves to %s without a stop", f.Guest, f.To)
	case f.To != "":
		return fmt.Sprintf("%s %sis started on %s", f.Guest, dies, f.To)
	case f.Dies:
		return fmt.Sprintf("%s is killed, and started nowhere now: %s", f.Guest, f.Why)
	}
	return fmt.Sprintf("%s stays: %s", f.Guest, f.Why)
}
