package kinds

// mpathPool is all the multipath devices of a host.
var mpathPool = poolType{target: givenTarget("/dev/mapper"), disk: blockDisk}
