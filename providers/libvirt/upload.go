package libvirt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync"

	lv "libvirt.org/go/libvirt"
)

// uploadChunk is how much is sent at once. It fits into one of libvirt's messages
// of old, 256 KiB less its header, so that every libvirt takes it whole.
const uploadChunk = 256<<10 - 1024

// uploadVolume makes the volume and fills it from a stream. If the stream breaks,
// the volume stays, unfinished: only the planner knows whether it may go.
func uploadVolume(ctx context.Context, j *job) error {
	if j.exec.contents == nil {
		return faultf(ErrUnsupported, "nothing was given to upload from")
	}
	if j.op.Text != "" {
		// Another operation of ours may be uploading it at this moment.
		free, err := j.exec.fleet.uploads.take(ctx, j.op.Pool+"/"+j.op.Name)
		if err != nil {
			return err
		}
		defer free()
		there, err := j.hasVolume(ctx, j.op.Name)
		if err != nil {
			return err
		}
		if there {
			return j.compare(ctx)
		}
	}
	if err := j.mustBeFree(ctx); err != nil {
		return err
	}
	content, size, err := j.exec.contents.Open(j.op.Content)
	if err != nil {
		return &fault{kind: ErrLocal, text: "opening " + j.op.Content, err: err}
	}
	// The bytes are closed by whoever reads them last, which after a time-out is
	// not this function.
	err = j.actLong(ctx, func(c *lv.Connect) error {
		defer func() { _ = content.Close() }()
		return withPool(c, j.op.Pool, func(p *lv.StoragePool) error {
			v, err := p.StorageVolCreateXML(j.op.XML, 0)
			if err != nil {
				return err
			}
			defer func() { _ = v.Free() }()
			if err := j.fill(ctx, c, v, content, size); err != nil {
				return &fault{kind: kindOf(err), text: "the volume is left unfinished", err: err}
			}
			return nil
		})
	})
	return err
}

// fill sends exactly size bytes.
func (j *job) fill(ctx context.Context, c *lv.Connect, v *lv.StorageVol, content io.Reader, size int64) error {
	if size < 0 {
		return faultf(ErrLocal, "the size of %s is not known", j.op.Content)
	}
	stream, err := c.NewStream(0)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Free() }()
	if err := v.Upload(stream, 0, uint64(size), 0); err != nil {
		return err
	}
	if err := j.pump(ctx, stream, content, size); err != nil {
		_ = stream.Abort()
		return err
	}
	return stream.Finish()
}

func (j *job) pump(ctx context.Context, stream *lv.Stream, content io.Reader, size int64) error {
	buf := make([]byte, uploadChunk)
	for done := int64(0); done < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(int64(len(buf)), size-done)]
		n, err := io.ReadFull(content, part)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return faultf(ErrLocal, "%s has %d bytes and was said to have %d", j.op.Content, done+int64(n), size)
		}
		if err != nil {
			return &fault{kind: ErrLocal, text: "reading " + j.op.Content, err: err}
		}
		for len(part) > 0 {
			sent, err := stream.Send(part)
			if err != nil {
				return err
			}
			part = part[sent:]
			done += int64(sent)
		}
		j.progress(uint64(done), uint64(size))
	}
	return nil
}

// compare reads a volume that is there already, and fails unless its first
// Bytes are the ones that would have been uploaded.
func (j *job) compare(ctx context.Context) error {
	sum := sha256.New()
	err := j.actLong(ctx, func(c *lv.Connect) error {
		return withPool(c, j.op.Pool, func(p *lv.StoragePool) error {
			return withVolume(p, j.op.Name, func(v *lv.StorageVol) error {
				if v == nil {
					return faultf(ErrNotFound, "the volume went away while it was looked at")
				}
				return j.read(ctx, c, v, sum)
			})
		})
	})
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != j.op.Text {
		return faultf(ErrExists, "a volume of that name is there already, and its contents are others (SHA-256 %.12s, not %.12s); nothing was changed. If nothing uses it, delete it with virsh vol-delete, and apply again", got, j.op.Text)
	}
	return nil
}

// read copies the first Bytes of a volume, or as many as there are.
func (j *job) read(ctx context.Context, c *lv.Connect, v *lv.StorageVol, to io.Writer) error {
	stream, err := c.NewStream(0)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Free() }()
	if err := v.Download(stream, 0, j.op.Bytes, 0); err != nil {
		return err
	}
	buf := make([]byte, uploadChunk)
	for done := uint64(0); ; {
		if err := ctx.Err(); err != nil {
			_ = stream.Abort()
			return err
		}
		n, err := stream.Recv(buf)
		if errors.Is(err, io.EOF) {
			return stream.Finish()
		}
		if err != nil {
			_ = stream.Abort()
			return err
		}
		done += uint64(n)
		if _, err := to.Write(buf[:n]); err != nil {
			_ = stream.Abort()
			return err
		}
		j.progress(done, j.op.Bytes)
	}
}

// turns are names of which each is had by one at a time.
type turns struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

// take waits until nobody has the name, and gives what gives it back.
func (t *turns) take(ctx context.Context, name string) (func(), error) {
	for {
		t.mu.Lock()
		busy := t.held[name]
		if busy == nil {
			mine := make(chan struct{})
			if t.held == nil {
				t.held = map[string]chan struct{}{}
			}
			t.held[name] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.held, name)
				t.mu.Unlock()
				close(mine)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
