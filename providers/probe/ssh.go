package probe

import (
	"bufio"
	"context"
	"net"
	"strings"
)

const (
	// sshPort is the registered one.
	sshPort = 22
	// bannerLimit bounds what a server may send before its identification (RFC 4253
	// section 4.2 permits lines before it and sets no limit; OpenSSH reads 8 KiB).
	bannerLimit = 8 << 10
)

// readSSH: a port that must answer with SSH's identification string, which begins
// with "SSH-" (RFC 4253 section 4.2). There is no login. sshd from OpenSSH 9.8 on
// counts one second of penalty for each, and refuses a source that has gathered
// 15: where a probe comes more often than once a second, the watching machine
// belongs into PerSourcePenaltyExemptList.
func readSSH(o options) (ask, error) {
	port, err := o.port("port", sshPort)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, to target) finding {
		c, f := dial(ctx, to.address, port)
		if c == nil {
			return f
		}
		defer func() { _ = c.Close() }()
		return banner(c, net.JoinHostPort(to.address, port))
	}, nil
}

func banner(c net.Conn, where string) finding {
	in := bufio.NewReaderSize(c, 256) // a line is at most 255 characters long
	first := ""
	for read := 0; read < bannerLimit; {
		line, more, err := in.ReadLine()
		if err != nil {
			return judge(where, err, unasked)
		}
		read += len(line) + 1
		if strings.HasPrefix(string(line), "SSH-") {
			return good()
		}
		if first == "" {
			first = string(line)
		}
		if more { // the rest of a line that is too long is no beginning of one
			for more && read < bannerLimit {
				if line, more, err = in.ReadLine(); err != nil {
					return judge(where, err, unasked)
				}
				read += len(line)
			}
		}
	}
	return bad(where, "it answers, but not as an SSH server").quoting(first)
}
