package schema

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"pgregory.net/rapid"
)

// essence is a configuration without the places at which it stands.
func essence(v any) string {
	var b strings.Builder
	write(&b, reflect.ValueOf(v), 0)
	return b.String()
}

func write(b *strings.Builder, v reflect.Value, depth int) {
	indent := strings.Repeat("  ", depth)
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			b.WriteString("nil\n")
			return
		}
		write(b, v.Elem(), depth)
	case reflect.Struct:
		switch x := v.Interface().(type) {
		case Block, hcl.Range:
			b.WriteString("-\n")
			return
		case Template:
			t, diags := x.Render(Self{Name: "n", MACs: []string{"m"}, Disks: []string{"vda"}})
			fmt.Fprintf(b, "%q %v\n", t.Reveal(), diags.HasErrors())
			return
		case Text:
			fmt.Fprintf(b, "%q %v\n", x.Reveal(), x.Secret)
			return
		}
		fmt.Fprintf(b, "%s\n", v.Type().Name())
		for i := 0; i < v.NumField(); i++ {
			fmt.Fprintf(b, "%s  %s: ", indent, v.Type().Field(i).Name)
			write(b, v.Field(i), depth+1)
		}
	case reflect.Slice:
		fmt.Fprintf(b, "%d, nil %v\n", v.Len(), v.IsNil())
		for i := 0; i < v.Len(); i++ {
			b.WriteString(indent + "  - ")
			write(b, v.Index(i), depth+1)
		}
	case reflect.Map:
		keys := v.MapKeys()
		sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
		fmt.Fprintf(b, "%d\n", len(keys))
		for _, k := range keys {
			fmt.Fprintf(b, "%s  %s = ", indent, k)
			write(b, v.MapIndex(k), depth+1)
		}
	default:
		fmt.Fprintf(b, "%v\n", v.Interface())
	}
}

// sound are the configurations on which properties are tried: the sample, and
// the fleet of the corpus.
func sound(t testing.TB) map[string]fstest.MapFS {
	t.Helper()
	out := map[string]fstest.MapFS{}
	read := func(name, path, as string) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if out[name] == nil {
			out[name] = fstest.MapFS{}
		}
		out[name][as] = &fstest.MapFile{Data: b}
	}
	root := filepath.Join("..", "fixtures", "sample")
	for _, f := range []string{"main.hcl", "power.scenario.hcl", "user-data.yaml", "net.yaml", "web.xml", "ks/worker.ks.tftpl"} {
		read("sample", filepath.Join(root, f), f)
	}
	read("fleet", "testdata/fleet.hcl", "main.hcl")
	read("rich", "testdata/rich.hcl", "main.hcl")
	return out
}

func mustLoad(t testing.TB, fsys fstest.MapFS) *Config {
	t.Helper()
	cfg, files, diags := Load(fsys, Options{Version: "0.1.0"})
	if cfg == nil {
		t.Fatalf("does not load:\n%s", shown(t, files, diags))
	}
	return cfg
}

// TestDecodingTwiceGivesTheSame holds decoding to be deterministic.
func TestDecodingTwiceGivesTheSame(t *testing.T) {
	for name, fsys := range sound(t) {
		a, b := essence(mustLoad(t, fsys)), essence(mustLoad(t, fsys))
		if a != b {
			t.Errorf("%s: %s", name, cmp.Diff(a, b))
		}
	}
}

// TestOrderOfFilesAndBlocksNeverMatters cuts a configuration into its blocks,
// shuffles them, and deals them out to files with other names.
func TestOrderOfFilesAndBlocksNeverMatters(t *testing.T) {
	for name, fsys := range sound(t) {
		want := essence(mustLoad(t, fsys))
		wantDiags := placeless(fsys)
		blocks := topBlocks(t, fsys["main.hcl"].Data)
		rapid.Check(t, func(r *rapid.T) {
			shuffled := append([]string(nil), blocks...)
			rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
			rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			other := fstest.MapFS{}
			for f, c := range fsys {
				if f != "main.hcl" {
					other[f] = c
				}
			}
			for i, b := range shuffled {
				f := fmt.Sprintf("%c.hcl", 'a'+rng.IntN(1+i%5))
				if other[f] == nil {
					other[f] = &fstest.MapFile{}
				}
				other[f].Data = append(other[f].Data, b+"\n"...)
			}
			cfg, _, diags := Load(other, Options{Version: "0.1.0"})
			if cfg == nil {
				r.Fatalf("%s: does not load: %v", name, diags)
			}
			if got := essence(cfg); got != want {
				r.Fatalf("%s: %s", name, cmp.Diff(want, got))
			}
			if got := placeless(other); got != wantDiags {
				r.Fatalf("%s: other warnings: %s", name, cmp.Diff(wantDiags, got))
			}
		})
	}
}

// placeless are the diagnostics of a configuration without their places. The
// list of what has no effect yet follows the order of the files.
func placeless(fsys fstest.MapFS) string {
	_, _, diags := Load(fsys, Options{Version: "0.1.0"})
	var out []string
	for _, d := range withoutLaters(diags) {
		out = append(out, d.Summary+": "+d.Detail)
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

func topBlocks(t testing.TB, src []byte) []string {
	t.Helper()
	f, diags := hclsyntax.ParseConfig(src, "main.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var out []string
	for _, b := range f.Body.(*hclsyntax.Body).Blocks {
		r := b.Range()
		out = append(out, string(src[b.TypeRange.Start.Byte:r.End.Byte]))
	}
	return out
}
