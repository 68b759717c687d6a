package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The layout of a bbolt file, in native byte order. A page is a header of id (8),
// flags (2), count (2) and overflow (4), then elements of 16 octets, then the data that
// they point to.
const (
	pageHeader  = 16
	elementSize = 16
	metaSize    = 64 // the last 8 are the checksum of the rest

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10

	flagBucket = 0x01 // of a leaf element

	boltMagic   = 0xED0CDAED
	boltVersion = 2

	minPage = 1 << 10
	maxPage = 1 << 24

	bucketHeader = 16 // root page and sequence, before an inline page
	maxNesting   = 4  // buckets in buckets; there is one level
	noFreelist   = ^uint64(0)
)

var order = binary.NativeEndian

// metaPage holds the fields of a meta page that the walk needs.
type metaPage struct {
	pageSize, root, freelist, pages, txid uint64
	place                                 int64 // its offset in the file
}

func readMeta(r io.ReaderAt, at int64) (m metaPage, ok bool) {
	var b [pageHeader + metaSize]byte
	if _, err := r.ReadAt(b[:], at); err != nil {
		return m, false
	}
	p := b[pageHeader:]
	h := fnv.New64a()
	h.Write(p[:metaSize-8])
	if order.Uint32(p) != boltMagic || order.Uint32(p[4:]) != boltVersion || order.Uint64(p[56:]) != h.Sum64() {
		return m, false
	}
	return metaPage{
		pageSize: uint64(order.Uint32(p[8:])),
		root:     order.Uint64(p[16:]),
		freelist: order.Uint64(p[32:]),
		pages:    order.Uint64(p[40:]),
		txid:     order.Uint64(p[48:]),
		place:    at,
	}, true
}

// findMetas returns the valid meta pages, one or two, the one that bbolt would use
// first. The offset of the second one is the page size, which only a valid page has: if
// the first is not valid, findMetas tries all page sizes.
func findMetas(r io.ReaderAt) ([]metaPage, error) {
	first, ok := readMeta(r, 0)
	if !ok {
		for size := int64(minPage); size <= maxPage; size <<= 1 {
			if m, ok := readMeta(r, size); ok && m.pageSize == uint64(size) {
				return []metaPage{m}, nil
			}
		}
		return nil, errors.New("no valid meta page")
	}
	if first.pageSize < minPage || first.pageSize > maxPage || first.pageSize&(first.pageSize-1) != 0 {
		return nil, fmt.Errorf("page size %d", first.pageSize)
	}
	second, ok := readMeta(r, int64(first.pageSize))
	switch {
	case !ok:
		return []metaPage{first}, nil
	case second.pageSize != first.pageSize:
		return nil, fmt.Errorf("page sizes %d and %d", first.pageSize, second.pageSize)
	case second.txid > first.txid:
		return []metaPage{second, first}, nil
	default:
		return []metaPage{first, second}, nil
	}
}

// walker visits all pages that are reachable from a meta page.
type walker struct {
	r      io.ReaderAt
	meta   metaPage
	seen   []bool // reached or free
	bucket []byte // that is being visited, or nil
	found  digest // computed from the records
	stored []byte // the stored form of the digest
	schema int
}

func newWalker(r io.ReaderAt, m metaPage) *walker {
	w := &walker{r: r, meta: m, seen: make([]bool, m.pages)}
	w.seen[0], w.seen[1] = true, true
	return w
}

// freePages returns the pages that are not in use, and the page size. The caller has
// called checkPages.
func freePages(r io.ReaderAt) (free []uint64, size uint64, err error) {
	metas, err := findMetas(r)
	if err != nil {
		return nil, 0, err
	}
	free, err = newWalker(r, metas[0]).freelist()
	return free, metas[0].pageSize, err
}

// checkPages walks all pages that are reachable from a meta page. It returns an error for
// the first thing that bbolt would not survive: pages that are cut off, have the wrong
// type, are reached twice or not at all, elements that point outside their page, keys
// out of order. If the schema has a digest that is known here, it compares the records
// with it too: the transaction is complete if they agree.
func checkPages(r io.ReaderAt, size int64, m metaPage) (schema int, err error) {
	w, err := walk(r, size, m)
	if err != nil {
		return 0, err
	}
	return w.schema, w.digest()
}

func walk(r io.ReaderAt, size int64, m metaPage) (*walker, error) {
	if m.pages < 4 || m.pages > uint64(size)/m.pageSize {
		return nil, fmt.Errorf("%d pages of %d octets in a file of %d", m.pages, m.pageSize, size)
	}
	w := newWalker(r, m)
	if _, err := w.freelist(); err != nil {
		return nil, err
	}
	if err := w.tree(m.root, nil, nil, 0); err != nil {
		return nil, err
	}
	for id, seen := range w.seen {
		if !seen {
			return nil, fmt.Errorf("page %d is neither used nor free", id)
		}
	}
	return w, nil
}

// mark marks n pages from id on as seen.
func (w *walker) mark(id, n uint64) error {
	if id < 2 || id >= w.meta.pages || n > w.meta.pages-id {
		return fmt.Errorf("page %d is out of range", id)
	}
	for i := id; i < id+n; i++ {
		if w.seen[i] {
			return fmt.Errorf("page %d is used twice", i)
		}
		w.seen[i] = true
	}
	return nil
}

// page reads a page with its overflow and marks it.
func (w *walker) page(id uint64) (p []byte, flags, count uint16, err error) {
	if id < 2 || id >= w.meta.pages {
		return nil, 0, 0, fmt.Errorf("page %d is out of range", id)
	}
	at := int64(id * w.meta.pageSize)
	var h [pageHeader]byte
	if _, err := w.r.ReadAt(h[:], at); err != nil {
		return nil, 0, 0, fmt.Errorf("page %d: %w", id, err)
	}
	if got := order.Uint64(h[:]); got != id {
		return nil, 0, 0, fmt.Errorf("page %d says it is page %d", id, got)
	}
	n := uint64(order.Uint32(h[12:])) + 1
	if err := w.mark(id, n); err != nil {
		return nil, 0, 0, err
	}
	p = make([]byte, n*w.meta.pageSize)
	if _, err := w.r.ReadAt(p, at); err != nil {
		return nil, 0, 0, fmt.Errorf("page %d: %w", id, err)
	}
	return p, order.Uint16(h[8:]), order.Uint16(h[10:]), nil
}

// freelist reads the list of free pages and marks the list's own pages and those in it.
func (w *walker) freelist() (free []uint64, err error) {
	if w.meta.freelist == noFreelist {
		return nil, errors.New("no list of free pages")
	}
	p, flags, count, err := w.page(w.meta.freelist)
	if err != nil {
		return nil, err
	}
	if flags != flagFreelist {
		return nil, fmt.Errorf("page %d is no list of free pages", w.meta.freelist)
	}
	ids, n := p[pageHeader:], uint64(count)
	if count == 0xFFFF { // too many for 16 bits: the first entry is the number
		n, ids = order.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return nil, fmt.Errorf("list of %d free pages in %d octets", n, len(ids))
	}
	for i := range n {
		id := order.Uint64(ids[8*i:])
		if err := w.mark(id, 1); err != nil {
			return nil, fmt.Errorf("list of free pages: %w", err)
		}
		free = append(free, id)
	}
	return free, nil
}

// tree walks the pages of one bucket. The first key must be low, unless that is nil:
// bbolt finds a page in its parent by that key. All keys must be below high, unless that
// is nil. The recursion ends because no page is marked twice.
func (w *walker) tree(id uint64, low, high []byte, nesting int) error {
	p, flags, count, err := w.page(id)
	if err != nil {
		return err
	}
	switch flags {
	case flagLeaf:
		if err := w.leaf(p, count, low, high, nesting); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
		return nil
	case flagBranch:
		return w.branch(id, p, count, low, high, nesting)
	default:
		return fmt.Errorf("page %d has flags %#x", id, flags)
	}
}

func (w *walker) branch(id uint64, p []byte, count uint16, low, high []byte, nesting int) error {
	if count == 0 {
		return fmt.Errorf("page %d has no children", id)
	}
	keys, children := make([][]byte, count), make([]uint64, count)
	for i := range int(count) {
		e, at, err := element(p, i)
		if err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
		keys[i], err = slice(p, at, order.Uint32(e), 0, order.Uint32(e[4:]))
		if err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
		children[i] = order.Uint64(e[8:])
	}
	if err := ascending(keys, low, high); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	for i, child := range children {
		next := high
		if i+1 < len(keys) {
			next = keys[i+1]
		}
		if err := w.tree(child, keys[i], next, nesting); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) leaf(p []byte, count uint16, low, high []byte, nesting int) error {
	keys := make([][]byte, count)
	for i := range int(count) {
		e, at, err := element(p, i)
		if err != nil {
			return err
		}
		flags, pos, ksize, vsize := order.Uint32(e), order.Uint32(e[4:]), order.Uint32(e[8:]), order.Uint32(e[12:])
		if keys[i], err = slice(p, at, pos, 0, ksize); err != nil {
			return err
		}
		value, err := slice(p, at, pos, ksize, vsize)
		if err != nil {
			return err
		}
		switch {
		case len(keys[i]) == 0:
			return errors.New("empty key")
		case flags == flagBucket:
			outer := w.bucket
			w.bucket = keys[i]
			if err := w.content(value, nesting+1); err != nil {
				return err
			}
			w.bucket = outer
		case flags != 0:
			return fmt.Errorf("element with flags %#x", flags)
		default:
			if err := w.record(keys[i], value); err != nil {
				return err
			}
		}
	}
	return ascending(keys, low, high)
}

// record adds a record to the digest, or keeps schema and digest of the meta bucket.
func (w *walker) record(key, value []byte) error {
	switch {
	case !bytes.Equal(w.bucket, bucketMeta):
		w.found.add(w.bucket, key, value)
	case bytes.Equal(key, keyDigest):
		w.stored = value
	case bytes.Equal(key, keySchema):
		if err := unseal(bucketMeta, keySchema, value, &w.schema); err != nil {
			return fmt.Errorf("schema version: %w", err)
		}
	}
	return nil
}

// digest compares the records with the digest, unless the schema has another form of
// digest: schema 1 has, and a newer one may.
func (w *walker) digest() error {
	if w.schema < digestSince || w.schema > SchemaVersion {
		return nil
	}
	var want digest
	if err := unseal(bucketMeta, keyDigest, w.stored, &want); err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	return want.verify(w.found, w.meta.txid)
}

// content walks the pages of a bucket: a tree, or one page within the bucket's value.
func (w *walker) content(value []byte, nesting int) error {
	if nesting > maxNesting {
		return errors.New("buckets are nested too deep")
	}
	if len(value) < bucketHeader {
		return errors.New("bucket is cut short")
	}
	if root := order.Uint64(value); root != 0 {
		return w.tree(root, nil, nil, nesting)
	}
	p := value[bucketHeader:]
	if len(p) < pageHeader || order.Uint16(p[8:]) != flagLeaf {
		return errors.New("bucket holds no leaf page")
	}
	return w.leaf(p, order.Uint16(p[10:]), nil, nil, nesting)
}

// element returns the i-th element of a page and where it stands: positions
// count from there.
func element(p []byte, i int) (e []byte, at uint64, err error) {
	at = pageHeader + uint64(i)*elementSize
	if at+elementSize > uint64(len(p)) {
		return nil, 0, errors.New("element outside of its page")
	}
	return p[at : at+elementSize], at, nil
}

// slice returns the n octets that begin skip octets behind pos.
func slice(p []byte, at uint64, pos, skip, n uint32) ([]byte, error) {
	from := at + uint64(pos) + uint64(skip)
	to := from + uint64(n)
	if to > uint64(len(p)) {
		return nil, errors.New("element points outside of its page")
	}
	return p[from:to:to], nil
}

func ascending(keys [][]byte, low, high []byte) error {
	if low != nil && (len(keys) == 0 || !bytes.Equal(keys[0], low)) {
		return errors.New("first key is not the one its parent has")
	}
	for i := 1; i < len(keys); i++ {
		if bytes.Compare(keys[i], keys[i-1]) <= 0 {
			return errors.New("keys are out of order")
		}
	}
	if n := len(keys); n > 0 && high != nil && bytes.Compare(keys[n-1], high) >= 0 {
		return errors.New("keys are out of order")
	}
	return nil
}
