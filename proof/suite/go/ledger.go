// Reads a ledger's directory with nothing of ours: Go's own golang.org/x/mod/sumdb checks the signature of the checkpoint, that
// leaves are in its tree, and that the tree continues an older one.
//
//	go run ledger.go DIR KEY [OLDER-CHECKPOINT]
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type tiles struct{ dir string }

func (t tiles) Height() int { return 8 }

// C2SP tlog-tiles leaves the height out of the path that Go's own servers have.
func place(level int, n int64, width int, what string) string {
	path := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	if width < 256 {
		path += fmt.Sprintf(".p/%d", width)
	}
	if what == "" {
		what = fmt.Sprint(level)
	}
	return "tile/" + what + "/" + path
}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		bytes, err := os.ReadFile(filepath.Join(t.dir, place(tile.L, tile.N, tile.W, "")))
		if err != nil {
			return nil, err
		}
		all = append(all, bytes)
	}
	return all, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func fail(what string, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, what+":", err)
		os.Exit(1)
	}
}

func open(path, key string) tlog.Tree {
	verifier, err := note.NewVerifier(strings.TrimSpace(key))
	fail("key", err)
	bytes, err := os.ReadFile(path)
	fail("checkpoint", err)
	signed, err := note.Open(bytes, note.VerifierList(verifier))
	fail("signature", err)
	lines := strings.Split(signed.Text, "\n")
	if len(lines) < 3 || lines[0] != verifier.Name() {
		fail("checkpoint", fmt.Errorf("not of %s", verifier.Name()))
	}
	var tree tlog.Tree
	_, err = fmt.Sscan(lines[1], &tree.N)
	fail("size", err)
	tree.Hash, err = tlog.ParseHash(lines[2])
	fail("root", err)
	return tree
}

func main() {
	dir, key := os.Args[1], os.Args[2]
	tree := open(filepath.Join(dir, "checkpoint"), key)
	reader := tlog.TileHashReader(tree, tiles{dir})
	checked := 0
	for bundle := int64(0); bundle*256 < tree.N; bundle++ {
		width := tree.N - bundle*256
		if width > 256 {
			width = 256
		}
		bytes, err := os.ReadFile(filepath.Join(dir, place(0, bundle, int(width), "entries")))
		fail("bundle", err)
		for at := int64(0); at < width; at++ {
			length := binary.BigEndian.Uint16(bytes)
			entry := bytes[2 : 2+length]
			bytes = bytes[2+length:]
			index := bundle*256 + at
			proof, err := tlog.ProveRecord(tree.N, index, reader)
			fail("proof", err)
			fail(fmt.Sprintf("leaf %d", index), tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)))
			checked++
		}
	}
	if len(os.Args) > 3 {
		older := open(os.Args[3], key)
		proof, err := tlog.ProveTree(tree.N, older.N, reader)
		fail("consistency", err)
		fail("consistency", tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash))
		fmt.Println("continues", older.N)
	}
	fmt.Println("checked", checked)
}
