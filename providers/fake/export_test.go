package fake

// Forget makes every host report anew what it reports.
func (f *Fleet) Forget() {
	for _, h := range f.hosts {
		h.seen = cachedView{}
	}
}
