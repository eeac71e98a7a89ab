// Package install has guests installed unattended: it renders the installer's file
// for one guest, checks it, gives it to the installer, and hears what became of it.
// One file for each format, and one for each way of delivery. It decides nothing:
// when a guest is installed, and where, is the planner's.
//
// An installation succeeds by a token alone: a nonce that the installer sends back
// by HTTP, or writes to its console or to the virtio channel org.3rc.install. That
// it powered off proves nothing, for a failed installer does that too. docs/install.md
// is for those who write the files.
package install
