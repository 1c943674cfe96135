package rules

import (
	"errors"
	"time"

	"github.com/echomfa/echomfa"
)

// What stands here is replaced piece by piece.

const defaultName = "default"

var errNotYet = errors.New("rules: not built yet")

type compiled struct{}

type chain struct{ rules []*Rule }

func parse([]byte, string) (*File, error)              { return nil, errNotYet }
func (f *File) match(string, string) Match             { return Match{} }
func (f *File) guards(Route) []Guard                   { return nil }
func (f *File) check(CheckOptions) Mistakes            { return nil }
func diff(_, _ *File, _ []Route, _ time.Time) []Change { return nil }
func schema() []byte                                   { return nil }
func (m Match) rules() []*Rule                         { return nil }
func (m Match) rule(time.Time, Identity) *Rule         { return &Rule{} }
func (m Match) conditional() bool                      { return false }
func identify[C any](*Set, C, func(C) (Identity, error)) (Identity, error) {
	return Identity{}, errNotYet
}

type set struct{}

func open(string, Config) (*Set, error)                  { return nil, errNotYet }
func newSet(*File, Config) (*Set, error)                 { return nil, errNotYet }
func (s *set) file() *File                               { return nil }
func (s *set) now() time.Time                            { return time.Now() }
func (s *set) revision() Revision                        { return Revision{} }
func (s *set) reload() error                             { return errNotYet }
func (s *set) onChange(func(before, after *File)) func() { return func() {} }
func (s *set) stats() Stats                              { return Stats{} }
func (s *set) close() error                              { return nil }

var _ echomfa.Policy
