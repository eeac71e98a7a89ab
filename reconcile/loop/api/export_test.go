package api

import "time"

// Quick makes the limits of a server so short that a test can wait for them.
func Quick(o Options) Options {
	const short = 300 * time.Millisecond
	o.limits = limits{header: short, body: short, answer: short, write: short, end: short}
	return o
}

// Few makes its numbers small.
func Few(o Options) Options {
	o.limits = limits{clients: 3, followers: 1}
	return o
}

// Beside tells whether an address is of this machine.
var Beside = beside
