// Package typelists gives a number to each list of factor types that users have, so that
// what is kept of a user needs no pointer.
package typelists

import (
	"sync"

	"github.com/echomfa/echomfa/internal/digest"
	"github.com/echomfa/echomfa/internal/factortype"
)

// Most is how many different lists a Table tells apart. There is one for each
// combination that users of a GenAuth have.
const Most = 4096

// Table gives numbers to lists. Number 0 is the nil list. The zero Table is ready for
// use, by several goroutines at once.
type Table struct {
	mu      sync.RWMutex
	lists   []*[]factortype.Type
	numbers map[string]uint32
}

// Get returns the list with a number that Number has returned.
func (t *Table) Get(number uint32) *[]factortype.Type {
	if number == 0 {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.lists[number-1]
}

// Number returns the number of a list, and false if there are too many lists. The list
// must not change any more.
func (t *Table) Number(list *[]factortype.Type) (uint32, bool) {
	if list == nil {
		return 0, true
	}
	var text []byte
	for _, typ := range *list {
		text = digest.AppendPart(text, string(typ))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok := t.numbers[string(text)]; ok {
		return n, true
	}
	if len(t.lists) == Most {
		return 0, false
	}
	if t.numbers == nil {
		t.numbers = make(map[string]uint32)
	}
	t.lists = append(t.lists, list)
	n := uint32(len(t.lists)) //nolint:gosec // at most Most
	t.numbers[string(text)] = n
	return n, true
}
