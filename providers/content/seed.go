package content

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"

	"3rc/plan/kinds"
	"3rc/schema"
)

// seedLabel is the volume label by which cloud-init finds a NoCloud seed.
const seedLabel = "cidata"

// seed makes a guest's NoCloud seed (cloud-init, "NoCloud" data source): meta-data,
// user-data and network-config.
func seed(vm *schema.VM, gen int) (io.ReadCloser, int64, error) {
	files := map[string]string{
		"meta-data": fmt.Sprintf("instance-id: %s\nlocal-hostname: %s\n", InstanceID(vm, gen), vm.Name),
		"user-data": vm.CloudInit.UserData.Reveal(),
	}
	if vm.CloudInit.UserData.Empty() {
		files["user-data"] = "#cloud-config\n"
	}
	if !vm.CloudInit.NetworkConfig.Empty() {
		files["network-config"] = vm.CloudInit.NetworkConfig.Reveal()
	}
	r, n, err := Seed(files)
	if err != nil {
		return nil, 0, fmt.Errorf("making the seed of %s: %w", vm.Address, err)
	}
	return r, n, nil
}

// Seed makes the ISO 9660 image of a NoCloud seed with these files, and gives its
// bytes and their number.
func Seed(files map[string]string) (io.ReadCloser, int64, error) {
	dir, err := os.MkdirTemp("", "3rc-seed-")
	if err != nil {
		return nil, 0, err
	}
	defer os.RemoveAll(dir)
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		return nil, 0, err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o600); err != nil {
			return nil, 0, err
		}
	}
	b, err := iso(filepath.Join(dir, "seed.iso"), tree)
	if err != nil {
		return nil, 0, err
	}
	if len(b) > kinds.SeedSize {
		return nil, 0, fmt.Errorf("its files are too long for %s", schema.Size(kinds.SeedSize))
	}
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}

func iso(out, tree string) ([]byte, error) {
	storage, err := file.CreateFromPath(out, kinds.SeedSize)
	if err != nil {
		return nil, err
	}
	defer storage.Close()
	fs, err := iso9660.Create(storage, kinds.SeedSize, 0, 0, tree)
	if err != nil {
		return nil, err
	}
	if err := fs.Finalize(iso9660.FinalizeOptions{RockRidge: true, Joliet: true, VolumeIdentifier: seedLabel}); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// InstanceID is how cloud-init knows that a guest is another one than before. It
// changes only when the guest is reinstalled: gen is of its first disk.
func InstanceID(vm *schema.VM, gen int) string {
	if gen > 1 {
		return fmt.Sprintf("iid-%s-%d", vm.Name, gen)
	}
	return "iid-" + vm.Name
}
