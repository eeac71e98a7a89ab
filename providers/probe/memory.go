package probe

import (
	"context"
	"sync"
	"time"
)

const (
	// rememberFor is how long an address that libvirt told is believed. A guest that
	// moved to another one does not answer at the old one and is asked for at once;
	// this bounds how long somebody else at the old address may answer for it.
	rememberFor = time.Minute
	// rememberAtMost bounds how many guests' addresses are kept: three times the
	// largest fleet that 3rc is made for.
	rememberAtMost = 16384
)

// Memory is an Agent that remembers the addresses which another one told, so that
// thousands of probes do not ask libvirt each time.
type Memory struct {
	Agent
	now   func() time.Time
	mu    sync.Mutex
	known map[guestOn]learnt
}

type guestOn struct{ host, guest string }

type learnt struct {
	addresses []string
	until     time.Time
}

// Remember makes a Memory. One is enough for a fleet; it may be used at once.
func Remember(via Agent) *Memory {
	return &Memory{Agent: via, now: time.Now, known: map[guestOn]learnt{}}
}

// Addresses is Agent's. Only what was found is remembered.
func (m *Memory) Addresses(ctx context.Context, host, guest string) ([]string, error) {
	key := guestOn{host, guest}
	m.mu.Lock()
	k, ok := m.known[key]
	m.mu.Unlock()
	if ok && m.now().Before(k.until) {
		return k.addresses, nil
	}
	list, err := m.Agent.Addresses(ctx, host, guest)
	if err != nil || len(list) == 0 {
		return list, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) >= rememberAtMost {
		m.shrink()
	}
	m.known[key] = learnt{list, m.now().Add(rememberFor)}
	return list, nil
}

// shrink makes room: what has expired goes, and else what expires first.
func (m *Memory) shrink() {
	var first guestOn
	var when time.Time
	now := m.now()
	for k, l := range m.known {
		if !now.Before(l.until) {
			delete(m.known, k)
		} else if when.IsZero() || l.until.Before(when) {
			first, when = k, l.until
		}
	}
	if len(m.known) >= rememberAtMost {
		delete(m.known, first)
	}
}

// forget has the guest's address asked for anew.
func (m *Memory) forget(host, guest string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, guestOn{host, guest})
}
