package plan

import (
	"strings"
	"testing"

	"3rc/schema"
	"3rc/schema/inventory"
)

// fleet is three hosts that answer; web runs on h1.
func fleet() *Input {
	in := &Input{
		Config: &schema.Config{Cluster: &schema.Cluster{}},
		Seen:   inventory.Snapshot{Views: map[string]inventory.View{}},
	}
	for _, h := range []string{"h1", "h2", "h3"} {
		host := &schema.Host{}
		host.Name = h
		in.Config.Hosts = append(in.Config.Hosts, host)
		in.Seen.Views[h] = inventory.View{Host: h, Seen: true}
	}
	runs(in, "h1", "web", "u-web")
	return in
}

func runs(in *Input, host, name, uuid string) {
	v := in.Seen.Views[host]
	v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Domain, Name: name, UUID: uuid, State: inventory.StateRunning})
	in.Seen.Views[host] = v
}

// silent is a host that does not answer.
func silent(in *Input, host string) { in.Seen.Views[host] = inventory.View{Host: host} }

// healing gives a watch's standing: every host is up, but for lost, whose last
// View still stands.
func healing(in *Input, lost string) *Standing {
	st := &Standing{Hosts: map[string]HostStanding{}}
	for h, v := range in.Seen.Views {
		st.Hosts[h] = HostStanding{View: &v, Fresh: h != lost}
	}
	silent(in, lost)
	in.Standing = st
	return st
}

func off(st *Standing, host string) {
	h := st.Hosts[host]
	h.Off = true
	st.Hosts[host] = h
}

func on(v Verb, host string) Op {
	return Op{Verb: v, Class: inventory.Domain, Name: "web", UUID: "u-web", Host: host}
}

func migrate(from, to string) Op {
	op := on(DomainMigrate, from)
	op.Dest = to
	return op
}

// TestCheckFindsWhatMustNotBeDone gives Check plans that Build never makes, and
// their nearest neighbours that are in order.
func TestCheckFindsWhatMustNotBeDone(t *testing.T) {
	stranger := on(DomainStart, "h2")
	stranger.UUID = "u-other"
	renamed := on(DomainStart, "h2")
	renamed.Name = "www"
	byItself := on(SetAutostart, "h2")
	byItself.On = true
	pool := byItself
	pool.Class = inventory.Pool
	for _, c := range []struct {
		name string
		ops  []Op
		in   func(*Input)
		want string // "": nothing is found
	}{
		{"a restart", []Op{on(DomainDestroy, "h1"), on(DomainStart, "h1")}, nil, ""},
		{"a guest that is off", []Op{on(DomainStart, "h2")}, func(in *Input) { in.Seen.Views["h1"] = inventory.View{Seen: true} }, ""},
		{"it runs elsewhere", []Op{on(DomainStart, "h2")}, nil, "while it runs on h1"},
		{"another of its name runs elsewhere", []Op{stranger}, nil, "while it runs on h1"},
		{"the same by another name runs elsewhere", []Op{renamed}, nil, "while it runs on h1"},
		{"it is installed while it runs elsewhere", []Op{on(DomainInstall, "h2")}, nil, "while it runs on h1"},
		{"another copy is stopped", []Op{on(DomainDestroy, "h3"), on(DomainStart, "h2")}, nil, "while it runs on h1"},
		{"its copy is stopped too late", []Op{on(DomainStart, "h2"), on(DomainDestroy, "h1")}, nil, "while it runs on h1"},
		{"it is started twice", []Op{on(DomainShutdown, "h1"), on(DomainStart, "h2"), on(DomainStart, "h3")}, nil, "started on h2 and on h3"},
		{"on a host that was not seen", []Op{on(DomainSuspend, "h3")}, func(in *Input) { silent(in, "h3") }, "h3, which was not seen"},
		{"while a host was not seen", []Op{on(DomainDestroy, "h1"), on(DomainStart, "h2")}, func(in *Input) { silent(in, "h3") }, "while h3 was not seen"},
		{"a migration", []Op{migrate("h1", "h2")}, nil, ""},
		{"a migration to a host that was not seen", []Op{migrate("h1", "h2")}, func(in *Input) { silent(in, "h2") }, "migrated to h2, which was not seen"},
		{"a migration from where it is not", []Op{migrate("h3", "h2")}, nil, "while it runs on h1"},
		{"it starts by itself", []Op{byItself}, nil, "start by itself"},
		{"a pool starts by itself", []Op{pool}, nil, ""},
		{"its silent host is not proven off", []Op{on(DomainStart, "h2")}, func(in *Input) { healing(in, "h1") }, "h1, which ran it, is not proven off"},
		{"nor that of another of its name", []Op{stranger}, func(in *Input) { healing(in, "h1") }, "is not proven off"},
		{"nor that of the same by another name", []Op{renamed}, func(in *Input) { healing(in, "h1") }, "is not proven off"},
		{"its silent host is proven off", []Op{on(DomainStart, "h2")}, func(in *Input) { off(healing(in, "h1"), "h1") }, ""},
		{"its silent host never had it", []Op{on(DomainDestroy, "h1"), on(DomainStart, "h2")}, func(in *Input) { healing(in, "h3") }, ""},
		{"its silent host is guarded by locks", []Op{on(DomainStart, "h2")}, func(in *Input) {
			healing(in, "h1")
			in.Config.Cluster.Unfenced = "locks"
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := fleet()
			if c.in != nil {
				c.in(in)
			}
			for i := range c.ops {
				c.ops[i].ID = i + 1
			}
			hold(t, Check(&Plan{Ops: c.ops}, in), c.want)
		})
	}
}

// TestCheckKeepsOpenVolumes: no volume goes that a process has open, but after the
// operation that ends the process, or takes it to another host.
func TestCheckKeepsOpenVolumes(t *testing.T) {
	gone := Op{Verb: VolumeDelete, Class: inventory.Volume, Pool: "local", Name: "web.root.1.qcow2", Host: "h1"}
	for _, c := range []struct {
		name   string
		before []Op
		edit   func(*Op, *Input)
		want   string
	}{
		{"it is open", nil, nil, "web, which runs on h1, has it open"},
		{"another volume", nil, func(op *Op, _ *Input) { op.Name = "other.qcow2" }, ""},
		{"on another host", nil, func(op *Op, _ *Input) { op.Host = "h2" }, ""},
		{"on another host, of a pool that all see", nil, func(op *Op, in *Input) {
			op.Host = "h2"
			yes := true
			in.Config.Pools = []*schema.Pool{{Ident: schema.Ident{Name: "local"}, Shared: &yes}}
		}, "has it open"},
		{"after its process", []Op{on(DomainShutdown, "h1")}, func(op *Op, _ *Input) { op.Needs = []int{1} }, ""},
		{"beside the end of its process", []Op{on(DomainShutdown, "h1")}, nil, "has it open"},
		{"after it has moved", []Op{migrate("h1", "h2"), {Verb: PoolRefresh, Host: "h1", Needs: []int{1}}}, func(op *Op, _ *Input) { op.Needs = []int{2} }, ""},
		{"after another has moved", []Op{{Verb: DomainMigrate, Name: "db", Host: "h1", Dest: "h2"}}, func(op *Op, _ *Input) { op.Needs = []int{1} }, "has it open"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, op := fleet(), gone
			v := in.Seen.Views["h1"]
			v.Facts[0].LiveXML = "<disk><source file='/srv/web.root.1.qcow2'/></disk>"
			if c.edit != nil {
				c.edit(&op, in)
			}
			ops := append(append([]Op(nil), c.before...), op)
			for i := range ops {
				ops[i].ID = i + 1
			}
			hold(t, Check(&Plan{Ops: ops}, in), c.want)
		})
	}
}

func hold(t *testing.T, found []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(found) > 0:
		t.Errorf("it finds %q", found)
	case want != "" && !strings.Contains(strings.Join(found, "\n"), want):
		t.Errorf("it finds %q, and not %q", found, want)
	}
}

func TestCheckHoldsOperationsToTheirOrder(t *testing.T) {
	first, second := on(DomainShutdown, "h1"), on(DomainUndefine, "h1")
	first.ID, second.ID = 1, 2
	second.Needs = []int{1}
	hold(t, Check(&Plan{Ops: []Op{first, second}}, fleet()), "")
	hold(t, Check(&Plan{Ops: []Op{second, first}}, fleet()), "stands at place")
	first.Needs, second.Needs = []int{2}, nil
	hold(t, Check(&Plan{Ops: []Op{first, second}}, fleet()), "waits for the later operation")
}
