// Reads a published log with golang.org/x/mod/sumdb/note and tlog, which share no code with the portal.
//
//	interop KEY FOLDER [FILE...]
//
// FOLDER holds checkpoint, tile/<level>/… and tile/entries/…; each FILE is a receipt, a consistency file or an older checkpoint.
// Prints what was accepted, or why it was refused with exit status 1.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// folder is a tlog.TileReader over C2SP paths, which name no height.
type folder struct{ path string }

func (f folder) Height() int { return height }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, t := range tiles {
		name := strings.Replace(t.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		content, err := os.ReadFile(filepath.Join(f.path, name))
		if err != nil {
			return nil, err
		}
		data = append(data, content)
	}
	return data, nil
}

// stored is the tree built from the entries alone, in tlog's own numbering.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, i := range indexes {
		if i >= int64(len(s)) {
			return nil, errors.New("the entries do not reach so far")
		}
		found = append(found, s[i])
	}
	return found, nil
}

func open(text string, key note.Verifier) (tlog.Tree, error) {
	n, err := note.Open([]byte(text), note.VerifierList(key))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != key.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

func (f folder) entries(size int64) ([][]byte, error) {
	var all [][]byte
	for first := int64(0); first < size; first += 1 << height {
		t := tlog.Tile{H: height, L: 0, N: first >> height, W: int(min(size-first, 1<<height))}
		name := strings.Replace(t.Path(), fmt.Sprintf("tile/%d/0/", height), "tile/entries/", 1)
		content, err := os.ReadFile(filepath.Join(f.path, name))
		if err != nil {
			return nil, err
		}
		for len(content) > 0 {
			if len(content) < 2 || len(content) < 2+int(binary.BigEndian.Uint16(content)) {
				return nil, errors.New("a bundle is cut off")
			}
			end := 2 + int(binary.BigEndian.Uint16(content))
			all, content = append(all, content[2:end]), content[end:]
		}
	}
	return all, nil
}

func rebuild(entries [][]byte) (stored, error) {
	var all stored
	for i, entry := range entries {
		more, err := tlog.StoredHashes(int64(i), entry, all)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// readTree checks the root from the entries, and every entry by a proof made from the tiles.
func readTree(f folder, tree tlog.Tree) (int, error) {
	entries, err := f.entries(tree.N)
	if err != nil {
		return 0, err
	}
	all, err := rebuild(entries)
	if err != nil {
		return 0, err
	}
	root, err := tlog.TreeHash(tree.N, all)
	if err != nil || int64(len(entries)) != tree.N || root != tree.Hash {
		return 0, errors.New("the entries do not lead to the signed root")
	}
	reader := tlog.TileHashReader(tree, f)
	for i, entry := range entries {
		proof, err := tlog.ProveRecord(tree.N, int64(i), reader)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(i), tlog.RecordHash(entry)); err != nil {
			return 0, err
		}
	}
	return len(entries), nil
}

func hashes(lines []string) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, line := range lines {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		found = append(found, h)
	}
	return found, nil
}

func checkReceipt(lines []string, tree tlog.Tree) error {
	entry, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	proof, err := hashes(lines[3:])
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

// checkExtension follows the proof from the old tree, whose root is taken from the newest one's tiles.
func checkExtension(lines []string, tree tlog.Tree, newest tlog.HashReader) error {
	old, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if err != nil || old == 0 {
		return err
	}
	root, err := tlog.TreeHash(old, newest)
	if err != nil {
		return err
	}
	proof, err := hashes(lines[1:])
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, old, root)
}

func checkFile(content string, key note.Verifier, newest tlog.Tree, reader tlog.HashReader) error {
	if strings.HasPrefix(content, key.Name()+"\n") {
		old, err := open(content, key)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveTree(newest.N, old.N, reader)
		if err != nil {
			return err
		}
		return tlog.CheckTree(proof, newest.N, newest.Hash, old.N, old.Hash)
	}
	head, checkpoint, _ := strings.Cut(content, "\n\n")
	tree, err := open(checkpoint, key)
	if err != nil {
		return err
	}
	lines := strings.Split(head, "\n")
	if strings.HasPrefix(lines[0], "old ") {
		return checkExtension(lines, tree, reader)
	}
	if lines[0] != "c2sp.org/tlog-proof@v1" || len(lines) < 3 {
		return errors.New("an unknown file")
	}
	return checkReceipt(lines, tree)
}

func run(arguments []string) error {
	key, err := note.NewVerifier(arguments[0])
	if err != nil {
		return err
	}
	f := folder{arguments[1]}
	text, err := os.ReadFile(filepath.Join(f.path, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := open(string(text), key)
	if err != nil {
		return err
	}
	count, err := readTree(f, tree)
	if err != nil {
		return err
	}
	for _, name := range arguments[2:] {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := checkFile(string(content), key, tree, tlog.TileHashReader(tree, f)); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
	}
	fmt.Printf("accepted: %d entries, %d files\n", count, len(arguments)-2)
	return nil
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "interop KEY FOLDER [FILE...]")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
}
