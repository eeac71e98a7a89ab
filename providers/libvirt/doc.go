// Package libvirt is the only part of the project that speaks to libvirt. It
// holds the connections, looks at whole hosts at once, carries out the
// operations of a plan and passes on events. It decides nothing.
//
// Three facts about libvirt's client shape everything here. Opening a
// connection can block for longer than anybody may wait and cannot be
// cancelled. A call can hang for as long as the daemon keeps answering
// keepalives while it does nothing else. And a connection must not be closed
// while a call is in flight on it. So every use of a connection happens in a
// goroutine of its own, which whoever waits may walk away from, and a
// connection that was walked away from is never used again: it is closed in the
// background when its last call has come back.
package libvirt
