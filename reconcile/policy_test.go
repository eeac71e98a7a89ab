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

func TestOnlyWhatHasAProfileIsReinstalled(t *testing.T) {
	for _, c := range []struct {
		name string
		how  func(*schema.VM)
		want int
	}{
		{"a bare disk", func(*schema.VM) {}, 0},
		{"an image", func(vm *schema.VM) { vm.Disks[0].Image = &schema.Ref{} }, 1},
		{"a kickstart", func(vm *schema.VM) { vm.Kickstart = &schema.Ref{} }, 1},
		{"prevent_destroy", func(vm *schema.VM) { vm.Kickstart, vm.PreventDestroy = &schema.Ref{}, true }, 0},
	} {
		vm := &schema.VM{Disks: []schema.Disk{{}}, Recovery: &schema.Ref{Name: "all"}}
		c.how(vm)
		cfg := &schema.Config{}
		r := &schema.Recovery{Reinstall: &schema.Reinstall{Attempts: 1}}
		r.Name = "all"
		cfg.Recoveries = append(cfg.Recoveries, r)
		if got := ladder(cfg, vm).Reinstall.Attempts; got != c.want {
			t.Errorf("%s: %d reinstallations are permitted, not %d", c.name, got, c.want)
		}
	}
}
