package kinds

// dirPool is a directory of the hosts, or what is mounted there.
var dirPool = poolType{target: givenTarget(""), builds: true, path: inTarget, disk: fileDisk}
