package libvirt

import (
	"sync"

	"3rc/schema/inventory"

	lv "libvirt.org/go/libvirt"
)

// storage asks for the pools and, of those that are active, for the volumes as
// libvirt remembers them; a file that came from elsewhere shows after a refresh.
// Of an inactive pool nothing is known but its definition. A host without a
// storage driver has no pools.
func (l looker) storage() ([]inventory.Fact, error) {
	pools, err := l.listPools(0)
	if unsupported(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer freePools(pools)
	has := map[lv.ConnectListAllStoragePoolsFlags]map[string]bool{}
	for _, flag := range []lv.ConnectListAllStoragePoolsFlags{
		lv.CONNECT_LIST_STORAGE_POOLS_ACTIVE, lv.CONNECT_LIST_STORAGE_POOLS_PERSISTENT, lv.CONNECT_LIST_STORAGE_POOLS_AUTOSTART,
	} {
		if has[flag], err = l.poolNames(flag); err != nil {
			return nil, err
		}
	}
	var mu sync.Mutex
	var volumes []inventory.Fact
	facts, err := gather(l, pools, func(p lv.StoragePool) (inventory.Fact, error) {
		f := inventory.Fact{Class: inventory.Pool, State: inventory.StateInactive}
		var err error
		if f.Name, err = p.GetName(); err != nil {
			return f, err
		}
		if has[lv.CONNECT_LIST_STORAGE_POOLS_ACTIVE][f.Name] {
			f.State = inventory.StateActive
		}
		f.Persistent = has[lv.CONNECT_LIST_STORAGE_POOLS_PERSISTENT][f.Name]
		f.Autostart = has[lv.CONNECT_LIST_STORAGE_POOLS_AUTOSTART][f.Name]
		vols, err := l.readPool(&p, &f)
		mu.Lock()
		volumes = append(volumes, vols...)
		mu.Unlock()
		return f, err
	})
	return append(facts, volumes...), err
}

func (l looker) listPools(flag lv.ConnectListAllStoragePoolsFlags) ([]lv.StoragePool, error) {
	return ask(l, "the list of pools", func() ([]lv.StoragePool, error) { return l.link.conn.ListAllStoragePools(flag) })
}

func (l looker) poolNames(flag lv.ConnectListAllStoragePoolsFlags) (map[string]bool, error) {
	pools, err := l.listPools(flag)
	if err != nil {
		return nil, err
	}
	defer freePools(pools)
	out := map[string]bool{}
	for i := range pools {
		if n, err := pools[i].GetName(); err == nil {
			out[n] = true
		}
	}
	return out, nil
}

func freePools(pools []lv.StoragePool) {
	for i := range pools {
		_ = pools[i].Free()
	}
}

// readPool completes a pool's fact and returns its volumes. The live description
// of an active pool has its sizes.
func (l looker) readPool(p *lv.StoragePool, f *inventory.Fact) ([]inventory.Fact, error) {
	var err error
	if f.UUID, err = p.GetUUIDString(); err != nil {
		return nil, err
	}
	f.XML, err = l.poolXML(p, f.Name)
	if err != nil || f.State != inventory.StateActive {
		return nil, err
	}
	f.LiveXML, err = ask(l, "the state of pool "+f.Name, func() (string, error) { return p.GetXMLDesc(0) })
	if err != nil {
		return nil, err
	}
	vols, err := ask(l, "the volumes of pool "+f.Name, func() ([]lv.StorageVol, error) { return p.ListAllStorageVolumes(0) })
	if err != nil {
		active, again := ask(l, "whether pool "+f.Name+" is active", p.IsActive)
		if again == nil && !active {
			// It was stopped since it was listed, so its volumes are not known.
			f.State, f.LiveXML = inventory.StateInactive, ""
			return nil, nil
		}
		return nil, err
	}
	defer func() {
		for i := range vols {
			_ = vols[i].Free()
		}
	}()
	return gather(l, vols, func(v lv.StorageVol) (inventory.Fact, error) { return l.readVolume(&v, f.Name) })
}

func (l looker) poolXML(p *lv.StoragePool, name string) (string, error) {
	xml, err := ask(l, "the definition of pool "+name, func() (string, error) { return p.GetXMLDesc(lv.STORAGE_XML_INACTIVE) })
	if unsupported(err) {
		xml, err = ask(l, "the definition of pool "+name, func() (string, error) { return p.GetXMLDesc(0) })
	}
	return xml, err
}

func (l looker) readVolume(v *lv.StorageVol, pool string) (inventory.Fact, error) {
	f := inventory.Fact{Class: inventory.Volume, Pool: pool}
	var err error
	if f.Name, err = v.GetName(); err != nil {
		return f, err
	}
	f.XML, err = ask(l, "volume "+f.Name+" of pool "+pool, func() (string, error) { return v.GetXMLDesc(0) })
	return f, err
}

// networks asks for the networks. A host without a network driver has none.
func (l looker) networks() ([]inventory.Fact, error) {
	nets, err := l.listNetworks(0)
	if unsupported(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer freeNetworks(nets)
	has := map[lv.ConnectListAllNetworksFlags]map[string]bool{}
	for _, flag := range []lv.ConnectListAllNetworksFlags{
		lv.CONNECT_LIST_NETWORKS_ACTIVE, lv.CONNECT_LIST_NETWORKS_PERSISTENT, lv.CONNECT_LIST_NETWORKS_AUTOSTART,
	} {
		some, err := l.listNetworks(flag)
		if err != nil {
			return nil, err
		}
		has[flag] = map[string]bool{}
		for i := range some {
			if n, err := some[i].GetName(); err == nil {
				has[flag][n] = true
			}
		}
		freeNetworks(some)
	}
	return gather(l, nets, func(n lv.Network) (inventory.Fact, error) {
		f := inventory.Fact{Class: inventory.Network, State: inventory.StateInactive}
		var err error
		if f.Name, err = n.GetName(); err != nil {
			return f, err
		}
		if has[lv.CONNECT_LIST_NETWORKS_ACTIVE][f.Name] {
			f.State = inventory.StateActive
		}
		f.Persistent = has[lv.CONNECT_LIST_NETWORKS_PERSISTENT][f.Name]
		f.Autostart = has[lv.CONNECT_LIST_NETWORKS_AUTOSTART][f.Name]
		return f, l.readNetwork(&n, &f)
	})
}

func (l looker) listNetworks(flag lv.ConnectListAllNetworksFlags) ([]lv.Network, error) {
	return ask(l, "the list of networks", func() ([]lv.Network, error) { return l.link.conn.ListAllNetworks(flag) })
}

func freeNetworks(nets []lv.Network) {
	for i := range nets {
		_ = nets[i].Free()
	}
}

func (l looker) readNetwork(n *lv.Network, f *inventory.Fact) error {
	var err error
	if f.UUID, err = n.GetUUIDString(); err != nil {
		return err
	}
	if f.State == inventory.StateActive {
		f.LiveXML, err = ask(l, "the live definition of network "+f.Name, func() (string, error) { return n.GetXMLDesc(0) })
		if err != nil {
			return err
		}
	}
	f.XML, err = ask(l, "the definition of network "+f.Name, func() (string, error) { return n.GetXMLDesc(lv.NETWORK_XML_INACTIVE) })
	if unsupported(err) {
		f.XML, err = ask(l, "the definition of network "+f.Name, func() (string, error) { return n.GetXMLDesc(0) })
	}
	return err
}
