package echomfa

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/echomfa/echomfa/internal/bitsets"
)

// Policy says which factor types a user must have enrolled. The zero Policy is
// invalid and nothing satisfies it. Policies do not change; the methods return
// new ones. They are safe for concurrent use.
//
// Enrolling more factors never breaks a satisfied policy: a policy is a monotone
// function of factor types. Such a function is exactly the list of its
// minimal satisfying sets, and that list is the only representation: evaluating
// is asking whether one of them is contained, comparing is comparing lists.
type Policy struct {
	_ [0]func() // == would compare how a policy was made; use Equal
	p *policy
}

// policy is what a Policy points to. It does not change.
type policy struct {
	name   string
	text   atomic.Pointer[string] // what String has returned: metrics name a policy on each request
	listed atomic.Uint64          // the id of an Enforcer's list that has the same policy or is full, or 0
	err    error                  // why it is invalid
	reason string                 // of an exempt one
	exempt bool                   //
	others []FactorType           // types without a constant, sorted: the bits after namedBits
	sets   []uint32               // the minimal satisfying sets, by size, then by value
}

const (
	maxPolicyTypes = 16
	maxPolicySets  = 256
)

// Evaluation is the outcome of an evaluation.
type Evaluation struct {
	// Satisfied reports whether the enrolled factors satisfy the policy.
	Satisfied bool
	// Missing lists the smallest additions that would: enrolling all types of
	// any one of them. The shortest come first. It is nil if Satisfied, and if
	// the policy is invalid.
	Missing [][]FactorType
}

// AllOf returns the policy that asks for every one of the types. Without types,
// and with one that has no constant, it is invalid: see [Custom].
func AllOf(types ...FactorType) Policy {
	distinct, err := distinctNamed(types)
	if err != nil {
		return invalid(err)
	}
	return atLeast(len(distinct), distinct)
}

// AnyOf returns the policy that asks for one of the types. Without types, and
// with one that has no constant, it is invalid: see [Custom].
func AnyOf(types ...FactorType) Policy { return AtLeast(1, types...) }

// AtLeast returns the policy that asks for n of the types; a type that is
// listed twice counts once. It is invalid if n is below 1 or above the number
// of distinct types, and with a type that has no constant: see [Custom].
func AtLeast(n int, types ...FactorType) Policy {
	distinct, err := distinctNamed(types)
	if err != nil {
		return invalid(err)
	}
	return atLeast(n, distinct)
}

// Custom returns the policy that asks for one factor type which has no constant
// in this package, and is invalid for one that has, as in
//
//	AnyOf(OTP).Or(Custom("VOICE"))
//
// It declares that the name is meant: in [AnyOf], [AllOf] and [AtLeast] such a
// type is a mistake, for a misspelled one would lock everybody out. [ParsePolicy]
// reads such a type in quotes, also where several are counted.
func Custom(t FactorType) Policy {
	if named := t.Normalize(); bitOf(named) >= 0 {
		return invalid(fmt.Errorf("%w: %s has a constant: use %s", ErrInvalidPolicy, named, constantOf(named)))
	}
	return customAtLeast(1, t)
}

// customAtLeast is AtLeast for types that have been declared.
func customAtLeast(n int, types ...FactorType) Policy {
	distinct, err := distinctTypes(types)
	if err != nil {
		return invalid(err)
	}
	return atLeast(n, distinct)
}

// Exempt returns the policy that asks for nothing: no token is read and nobody
// is asked. The reason is required: it tells readers of the configuration why.
// It cannot be combined with other policies.
func Exempt(reason string) Policy {
	if strings.TrimSpace(reason) == "" {
		return invalid(fmt.Errorf("%w: an exemption needs a reason", ErrInvalidPolicy))
	}
	return Policy{p: &policy{exempt: true, reason: reason}}
}

func invalid(err error) Policy { return Policy{p: &policy{err: err}} }

func errTooManyTypes() error {
	return fmt.Errorf("%w: more than %d factor types", ErrInvalidPolicy, maxPolicyTypes)
}

func errTooManySets() error {
	return fmt.Errorf("%w: more than %d alternatives", ErrInvalidPolicy, maxPolicySets)
}

// atLeast makes the policy of all n-element subsets.
func atLeast(n int, distinct []FactorType) Policy {
	if n < 1 || n > len(distinct) {
		return invalid(fmt.Errorf("%w: %d of %d distinct factor types: a type that is listed twice counts once", ErrInvalidPolicy, n, len(distinct)))
	}
	set := Factors(distinct...)
	if bitsets.Binomial(len(distinct), n) > maxPolicySets {
		return invalid(errTooManySets())
	}
	return minimal(set.others(), bitsets.Choose(set.mask(set.others()), n))
}

// minimal makes a policy of satisfying sets: those that contain another one are
// left out. Going by size, a set that is kept stays.
func minimal(others []FactorType, sets []uint32) Policy {
	kept, ok := bitsets.Minimal(sets, maxPolicySets)
	if !ok {
		return invalid(errTooManySets())
	}
	used := bitsets.Union(kept)
	if bits.OnesCount32(used) > maxPolicyTypes {
		return invalid(errTooManyTypes())
	}
	// A type that no set is left of does not matter, and must not to Equal.
	left := typesOf(used>>namedBits<<namedBits, others)
	for i, s := range kept {
		kept[i] = renumber(s, others, left)
	}
	slices.SortFunc(kept, bitsets.BySize)
	return Policy{p: &policy{others: left, sets: kept}}
}

// renumber translates a mask from one list of other types to another, which
// has all of its types.
func renumber(mask uint32, from, to []FactorType) uint32 {
	renumbered := mask & (1<<namedBits - 1)
	for i, t := range from {
		if mask&(1<<(namedBits+i)) != 0 {
			at, _ := slices.BinarySearch(to, t)
			renumbered |= 1 << (namedBits + at)
		}
	}
	return renumbered
}

// And returns the policy that asks for both. It is invalid if one of them is,
// or is exempt. The name is lost.
func (p Policy) And(q Policy) Policy {
	return p.combine(q, func(a, b []uint32) []uint32 {
		sets := make([]uint32, 0, len(a)*len(b))
		for _, s := range a {
			for _, t := range b {
				sets = append(sets, s|t)
			}
		}
		return sets
	})
}

// Or returns the policy that asks for one of the two. It is invalid if one of
// them is, or is exempt. The name is lost.
func (p Policy) Or(q Policy) Policy {
	return p.combine(q, func(a, b []uint32) []uint32 { return slices.Concat(a, b) })
}

func (p Policy) combine(q Policy, join func(a, b []uint32) []uint32) Policy {
	for _, part := range []Policy{p, q} {
		if err := part.Err(); err != nil {
			return invalid(err)
		}
		if part.p.exempt {
			return invalid(fmt.Errorf("%w: an exemption cannot be combined", ErrInvalidPolicy))
		}
	}
	others := Factors(slices.Concat(p.p.others, q.p.others)...).others()
	if len(others) > maxPolicyTypes {
		return invalid(errTooManyTypes()) // the bits would run out
	}
	return minimal(others, join(p.masks(others), q.masks(others)))
}

// masks returns the sets in the numbering of others, which has all of p's.
func (p Policy) masks(others []FactorType) []uint32 {
	sets := make([]uint32, len(p.p.sets))
	for i, s := range p.p.sets {
		sets[i] = renumber(s, p.p.others, others)
	}
	return sets
}

// Named returns the policy with a name for logs. Clients do not see it: only
// [Requirement].Rule reaches them. Names do not count in Equal and Implies, and are
// not part of the text.
func (p Policy) Named(name string) Policy {
	if p.p == nil {
		return p
	}
	return Policy{p: &policy{name: name, err: p.p.err, reason: p.p.reason, exempt: p.p.exempt, others: p.p.others, sets: p.p.sets}}
}

// Name returns the name, or "".
func (p Policy) Name() string {
	if p.p == nil {
		return ""
	}
	return p.p.name
}

// Err returns why the policy is invalid, matching [ErrInvalidPolicy], or nil if
// it is not.
func (p Policy) Err() error {
	if p.p == nil {
		return fmt.Errorf("%w: the zero Policy", ErrInvalidPolicy)
	}
	return p.p.err
}

func (p Policy) isZero() bool { return p.p == nil }

// IsExempt returns the reason of an exempt policy, and reports whether it is
// one.
func (p Policy) IsExempt() (reason string, ok bool) {
	if p.p == nil {
		return "", false
	}
	return p.p.reason, p.p.exempt
}

// Types returns the types that matter to the policy, in the order of
// [FactorSet.Types].
func (p Policy) Types() []FactorType {
	if p.p == nil {
		return nil
	}
	return typesOf(bitsets.Union(p.p.sets), p.p.others)
}

// satisfied reports whether the factors satisfy the policy. It does not
// allocate.
func (p Policy) satisfied(enrolled FactorSet) bool {
	if p.p == nil {
		return false
	}
	return p.p.exempt || bitsets.HoldsOne(enrolled.mask(p.p.others), p.p.sets)
}

// Evaluate reports whether the enrolled factors satisfy the policy, and what is
// missing if not. An invalid policy is never satisfied, an exempt one always.
// It does not allocate if the policy is satisfied.
func (p Policy) Evaluate(enrolled FactorSet) Evaluation {
	if p.satisfied(enrolled) {
		return Evaluation{Satisfied: true}
	}
	if p.p == nil || p.p.err != nil {
		return Evaluation{}
	}
	has := enrolled.mask(p.p.others)
	short := make([]uint32, len(p.p.sets))
	for i, s := range p.p.sets {
		short[i] = s &^ has
	}
	slices.SortFunc(short, bitsets.BySize)
	var missing [][]FactorType
	var kept []uint32
	for _, s := range short {
		if !bitsets.HoldsOne(s, kept) {
			kept = append(kept, s)
			missing = append(missing, typesOf(s, p.p.others))
		}
	}
	return Evaluation{Missing: missing}
}

// Equal reports whether the same factors satisfy both policies. An invalid
// policy equals none.
func (p Policy) Equal(q Policy) bool { return p.Implies(q) && q.Implies(p) }

// same is Equal for valid policies that are not exempt, without an allocation.
func (p Policy) same(q Policy) bool {
	return p.p == q.p || slices.Equal(p.p.sets, q.p.sets) && slices.Equal(p.p.others, q.p.others)
}

// Implies reports whether every user who satisfies p satisfies q. An invalid policy
// implies none and is implied by none.
func (p Policy) Implies(q Policy) bool {
	switch {
	case p.Err() != nil || q.Err() != nil:
		return false
	case p.p.exempt || q.p.exempt:
		return q.p.exempt
	}
	for _, s := range p.p.sets {
		if !q.satisfied(Factors(typesOf(s, p.p.others)...)) {
			return false
		}
	}
	return true
}

// weak returns which of SMS and EMAIL alone satisfy the policy. GenAuth may
// list those for every user with a telephone number or an e-mail address. An exempt
// policy is not asked.
func (p Policy) weak() []FactorType {
	return slices.DeleteFunc([]FactorType{SMS, Email}, func(t FactorType) bool { return !p.satisfied(Factors(t)) })
}
