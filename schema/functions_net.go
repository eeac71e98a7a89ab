package schema

import (
	"fmt"
	"net"

	"github.com/apparentlymart/go-cidr/cidr"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

func prefixOf(v cty.Value) (*net.IPNet, error) {
	_, n, err := net.ParseCIDR(v.AsString())
	if err != nil {
		return nil, function.NewArgErrorf(0, "%q is no address with a prefix length, as in \"10.0.0.0/24\"", v.AsString())
	}
	return n, nil
}

var cidrHostFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "hostnum", Type: cty.Number}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		n, err := prefixOf(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		num, _ := args[1].AsBigFloat().Int(nil)
		ip, err := cidr.HostBig(n, num)
		if err != nil {
			return cty.NilVal, function.NewArgError(1, err)
		}
		return cty.StringVal(ip.String()), nil
	},
})

var cidrNetmaskFunc = stringFunc(func(s string) (string, error) {
	_, n, err := net.ParseCIDR(s)
	if err != nil {
		return "", err
	}
	if n.IP.To4() == nil {
		return "", fmt.Errorf("IPv6 networks have no netmask")
	}
	return net.IP(n.Mask).String(), nil
})

var cidrSubnetFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "newbits", Type: cty.Number}, {Name: "netnum", Type: cty.Number}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		n, err := prefixOf(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		bits, _ := args[1].AsBigFloat().Int64()
		num, _ := args[2].AsBigFloat().Int(nil)
		sub, err := cidr.SubnetBig(n, int(bits), num)
		if err != nil {
			return cty.NilVal, function.NewArgError(2, err)
		}
		return cty.StringVal(sub.String()), nil
	},
})

var cidrSubnetsFunc = function.New(&function.Spec{
	Params:   []function.Parameter{{Name: "prefix", Type: cty.String}},
	VarParam: &function.Parameter{Name: "newbits", Type: cty.Number},
	Type:     function.StaticReturnType(cty.List(cty.String)),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		n, err := prefixOf(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		length, all := n.Mask.Size()
		var out []string
		var last *net.IPNet
		for i, a := range args[1:] {
			bits, _ := a.AsBigFloat().Int64()
			if bits < 1 || int(bits) > all-length {
				return cty.NilVal, function.NewArgErrorf(i+1, "must be from 1 to %d", all-length)
			}
			next, exceeded := (*net.IPNet)(nil), false
			if last == nil {
				next, err = cidr.Subnet(n, int(bits), 0)
			} else {
				next, exceeded = cidr.NextSubnet(last, length+int(bits))
			}
			if err != nil || exceeded || !n.Contains(next.IP) {
				return cty.NilVal, function.NewArgErrorf(i+1, "no room is left in %s for a network of %d further bits", n, bits)
			}
			out, last = append(out, next.String()), next
		}
		return stringList(out), nil
	},
})

var cidrContainsFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "address", Type: cty.String}},
	Type:   function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		n, err := prefixOf(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		ip := net.ParseIP(args[1].AsString())
		if ip == nil {
			return cty.NilVal, function.NewArgErrorf(1, "%q is no IP address", args[1].AsString())
		}
		return cty.BoolVal(n.Contains(ip)), nil
	},
})
