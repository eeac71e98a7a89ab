package reconcile

import (
	"testing"

	"3rc/schema"
)

func TestEveryFenceBlockIsALevelOfItsOwnUnlessItSaysSo(t *testing.T) {
	for _, c := range []struct{ given, want []int }{
		{[]int{0, 0, 0}, []int{1, 2, 3}},
		{[]int{1, 1, 0}, []int{1, 1, 2}},
		{[]int{0, 5, 0}, []int{1, 5, 6}},
	} {
		h := &schema.Host{}
		for _, level := range c.given {
			h.Fences = append(h.Fences, schema.Fence{Level: level})
		}
		got := hostPolicy(&schema.Config{}, h).Fences
		for i, want := range c.want {
			if got[i].Level != want {
				t.Errorf("levels %v: block %d is of level %d, not %d", c.given, i, got[i].Level, want)
			}
		}
	}
}
