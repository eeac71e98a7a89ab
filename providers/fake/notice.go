package fake

// Notice is what libvirt tells of by itself, to whoever holds a connection.
type Notice struct {
	Host  string
	Guest string // "" if it is of the connection itself
	// Word is as in providers/libvirt: "started booted", "stopped crashed",
	// "suspended ioerror", "closed" …
	Word string
}

// Listen has fn called with what the hosts tell the watcher, Latency after it
// happened. A notice that cannot get through is lost; one that a hung libvirtd
// would send is not sent.
func (f *Fleet) Listen(fn func(Notice)) { f.listener = fn }

// tell sends a notice of a guest.
func (h *host) tell(guest, word string) {
	if h.f.listener == nil || !h.serves() {
		return
	}
	h.send(Notice{Host: h.name, Guest: guest, Word: word})
}

func (h *host) send(n Notice) {
	f := h.f
	if f.listener == nil || !h.reachable() {
		return
	}
	f.clock.After(f.Latency+h.slow, func() {
		if h.reachable() {
			f.listener(n)
		}
	})
}

// began and stood are the words for a guest that executes or stands still for a
// reason of libvirt's.
func began(reason string) string {
	switch reason {
	case "booted", "migrated", "restored":
		return "started " + reason
	}
	return "resumed " + reason
}

func stood(reason string) string {
	switch reason {
	case "migration":
		return "suspended migrated"
	case "user":
		return "suspended paused"
	}
	return "suspended " + reason
}
