package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"3rc/apply"
)

// Applier is a Backend that also carries plans out.
type Applier interface {
	// Apply returns when the plan is carried out, or with the reason why nothing of
	// it was begun. report is told of each operation.
	Apply(ctx context.Context, q ApplyRequest, report func(ApplyEvent)) error
}

// ApplyRequest hands a plan over. The watch makes it anew, and refuses if it is
// not the same.
type ApplyRequest struct {
	Digest      string   `json:"digest"` // of the plan
	Targets     []string `json:"targets,omitempty"`
	Replace     []string `json:"replace,omitempty"`
	Install     string   `json:"install,omitempty"` // instead of both: the guest that is installed anew
	Restore     bool     `json:"restore,omitempty"` // with Install: it goes back to what it was before that
	Parallelism int      `json:"parallelism"`       // operations at once
}

// ApplyEvent tells of one operation's stage, or of the end.
type ApplyEvent struct {
	Op      int    `json:"op"` // its number in the plan
	Stage   string `json:"stage,omitempty"`
	Error   string `json:"error,omitempty"`
	Elapsed int64  `json:"elapsed_ns,omitempty"`
	Part    uint64 `json:"part,omitempty"`
	Whole   uint64 `json:"whole,omitempty"`
	Note    string `json:"note,omitempty"`
	// End: nothing more comes. Why says why nothing was begun; "": it was carried out.
	End bool   `json:"end,omitempty"`
	Why string `json:"why,omitempty"`
}

// ApplyEventOf is what the API tells of an event.
func ApplyEventOf(e apply.Event) ApplyEvent {
	out := ApplyEvent{Op: e.Op.ID, Stage: string(e.Stage), Elapsed: int64(e.Elapsed), Part: e.Part, Whole: e.Whole, Note: e.Note}
	if e.Err != nil {
		out.Error = e.Err.Error()
	}
	return out
}

// mostOperations bounds -parallelism from outside.
const mostOperations = 1000

// apply carries a plan out and tells of it, a line for each stage. A caller who
// goes does not end it.
func (s *server) apply(w http.ResponseWriter, r *http.Request, b Applier) {
	if s.o.Network && !s.o.Known {
		refuse(w, http.StatusForbidden, "plans are taken here only of callers with a token or a certificate (token_file or client_ca in the watch block); give this one to the socket of the watch, with 3rc on its machine")
		return
	}
	var q ApplyRequest
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil || q.Digest == "" || q.Parallelism < 1 || q.Parallelism > mostOperations {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("the request must have the digest of a plan, and a parallelism of 1 to %d", mostOperations))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	if out.SetReadDeadline(time.Time{}) != nil {
		return
	}
	var mu sync.Mutex
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	send := func(v any) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.SetWriteDeadline(time.Now().Add(s.o.limits.write))
		if v == nil {
			_, _ = io.WriteString(w, "\n")
		} else {
			_ = enc.Encode(v)
		}
		_ = out.Flush()
	}
	over := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() {
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				send(nil)
			case <-over:
				return
			}
		}
	})
	end := ApplyEvent{End: true}
	if err := b.Apply(context.WithoutCancel(r.Context()), q, func(e ApplyEvent) { send(e) }); err != nil {
		end.Why = err.Error()
	}
	close(over)
	beating.Wait()
	send(end)
}

// Apply hands a plan to the watch and tells report of each operation's stage. The
// error says why nothing was begun, or that sight of the watch was lost: then it
// goes on with the plan by itself.
func (c *Client) Apply(ctx context.Context, q ApplyRequest, report func(ApplyEvent)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	mute := time.AfterFunc(silence, func() { cancel(fmt.Errorf("the watch on %s has been silent for %s", c.path, silence)) })
	defer mute.Stop()
	resp, err := c.send(ctx, http.MethodPost, "/v1/apply", q)
	if err != nil {
		return c.why(ctx, err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, mostBody)
	for lines.Scan() {
		mute.Reset(silence)
		if len(lines.Bytes()) == 0 {
			continue
		}
		var e ApplyEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("the watch on %s says what cannot be read: %w", c.path, err)
		}
		switch {
		case e.End && e.Why != "":
			return errors.New(e.Why)
		case e.End:
			return nil
		}
		report(e)
	}
	return fmt.Errorf("sight of the watch on %s was lost: it goes on with the plan, and `3rc plan` shows what is left: %w", c.path, errors.Join(lines.Err(), c.why(ctx, io.ErrUnexpectedEOF)))
}
