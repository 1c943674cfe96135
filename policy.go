package echomfa

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Policy says which factor types a user must have enrolled.
//
// It is made by [AllOf], [AnyOf], [AtLeast], [Exempt] and [ParsePolicy], and
// combined by [Policy.And] and [Policy.Or]. A policy can only ask for factors,
// never forbid one, so enrolling one more factor never locks anybody out.
//
// A policy over 16 factor types, with more than 256 minimal alternatives, or
// with a text of more than 4,096 bytes is invalid. So is the zero value. An
// invalid policy carries its mistake, which [Policy.Err] returns: it is
// satisfied by nothing, equals nothing and implies nothing.
//
// A Policy does not change: it may be copied and used concurrently. Compare
// policies by [Policy.Equal].
type Policy struct {
	_ [0]func() // == would compare pointers
	p *policy
}

// policy is what a Policy points to. It is never written after it was made.
type policy struct {
	antichain        // empty if exempt or invalid
	text      string // canonical
	name      string
	reason    string // not empty: exempt
	err       error  // not nil: invalid
}

var errZeroPolicy = fmt.Errorf("%w: zero value", ErrInvalidPolicy)

// AllOf returns the policy that asks for each of types.
//
// Types are normalized as [client.FactorType.Normalize] does. The policy is
// invalid without types, and if a type is empty, longer than 64 bytes, not
// UTF-8, has a control character in it or space around it.
func AllOf(types ...FactorType) Policy {
	distinct := Factors(types...).Len()
	return made("AllOf", max(distinct, 1), types)
}

// AnyOf returns the policy that asks for at least one of types, on which it has
// the same conditions as [AllOf].
func AnyOf(types ...FactorType) Policy {
	return made("AnyOf", 1, types)
}

// AtLeast returns the policy that asks for at least n different ones of types,
// on which it has the same conditions as [AllOf]. It is invalid if n is less
// than 1 or more than the number of different types: OTP and TOTP are the same.
func AtLeast(n int, types ...FactorType) Policy {
	return made("AtLeast", n, types)
}

// Exempt returns the policy that asks for nothing: the request needs no token,
// and nothing is looked up. The reason is for whoever reads the configuration.
// The policy is invalid without one, and if the reason is not UTF-8 or has a
// control character in it.
//
// A route is exempt or it is not: And and Or with such a policy are invalid.
func Exempt(reason string) Policy {
	switch {
	case strings.TrimSpace(reason) == "":
		return invalid(errors.New("exempt without a reason"))
	case !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl):
		return invalid(fmt.Errorf("exempt: reason %.64q: control character or not UTF-8", reason))
	}
	return finish(policy{reason: reason, text: "exempt " + strconv.Quote(reason)})
}

// made returns the policy of a constructor.
func made(constructor string, n int, types []FactorType) Policy {
	a, err := kOf(n, types)
	if err != nil {
		return invalid(fmt.Errorf("%s: %w", constructor, err))
	}
	return written(a)
}

// written returns the policy that a is.
func written(a antichain) Policy {
	return finish(policy{antichain: a, text: a.format()})
}

// finish returns the policy p, unless its text is too long to be read again.
func finish(p policy) Policy {
	if len(p.text) > maxPolicyText {
		return invalid(fmt.Errorf("too complex: its text has more than %d bytes", maxPolicyText))
	}
	return Policy{p: &p}
}

// invalid returns the policy that carries a mistake.
func invalid(cause error) Policy {
	return Policy{p: &policy{err: fmt.Errorf("%w: %w", ErrInvalidPolicy, cause)}}
}

// And returns the policy that asks for what p and q ask for. It is invalid if
// one of them is, with the same mistakes, or is exempt. It has no name.
func (p Policy) And(q Policy) Policy { return p.combine("And", q, antichain.and) }

// Or returns the policy that asks for what p or q asks for. It is invalid if one
// of them is, with the same mistakes, or is exempt. It has no name.
func (p Policy) Or(q Policy) Policy { return p.combine("Or", q, antichain.or) }

func (p Policy) combine(method string, q Policy, by func(a, b antichain) (antichain, error)) Policy {
	switch perr, qerr := p.Err(), q.Err(); {
	case perr != nil && qerr != nil:
		return Policy{p: &policy{err: errors.Join(perr, qerr)}}
	case perr != nil:
		return Policy{p: &policy{err: perr}}
	case qerr != nil:
		return Policy{p: &policy{err: qerr}}
	case p.p.reason != "" || q.p.reason != "":
		return invalid(fmt.Errorf("%s: an exempt policy cannot be combined", method))
	}
	a, err := by(p.p.antichain, q.p.antichain)
	if err != nil {
		return invalid(fmt.Errorf("%s: %w", method, err))
	}
	return written(a)
}

// Named returns p under a name, by which logs call it instead of by its text. A
// name is only a label: it is not in the text and does not count in Equal and
// Implies. The empty name takes it away.
func (p Policy) Named(name string) Policy {
	named := policy{err: errZeroPolicy}
	if p.p != nil {
		named = *p.p
	}
	named.name = name
	return Policy{p: &named}
}

// Name returns the name that [Policy.Named] gave, or "".
func (p Policy) Name() string {
	if p.p == nil {
		return ""
	}
	return p.p.name
}

// Err returns why the policy is invalid, or nil if it is not. The error matches
// [ErrInvalidPolicy].
func (p Policy) Err() error {
	if p.p == nil {
		return errZeroPolicy
	}
	return p.p.err
}

// IsExempt reports whether [Exempt] made the policy, and for what reason.
func (p Policy) IsExempt() (reason string, ok bool) {
	if p.p == nil {
		return "", false
	}
	return p.p.reason, p.p.reason != ""
}

// Types returns the factor types that matter to the policy, in the order of
// [FactorSet.Types]. "OTP or OTP and SMS" is OTP: whether SMS is enrolled makes
// no difference. The slice is the caller's own. It is nil if the policy is
// exempt or invalid.
func (p Policy) Types() []FactorType {
	if p.p == nil {
		return nil
	}
	return p.p.types(union(p.p.sets))
}

// Result is the answer of a policy.
type Result struct {
	// Satisfied reports whether the policy is satisfied.
	Satisfied bool
	// Missing lists the smallest alternatives if it is not: enrolling all the
	// types of any one of them satisfies the policy, and enrolling fewer of
	// them does not. The alternatives with the fewest types come first; equal
	// ones, and the types in each, are in the order of [FactorSet.Types]. It
	// is nil if the policy is satisfied or invalid.
	Missing [][]FactorType
}

// Evaluate says whether the enrolled types satisfy the policy, and what is
// missing if they do not. An exempt policy is always satisfied, an invalid one
// never. Nothing is allocated for a policy that is satisfied.
func (p Policy) Evaluate(enrolled FactorSet) Result {
	if p.satisfied(enrolled) {
		return Result{Satisfied: true}
	}
	if p.Err() != nil {
		return Result{}
	}
	have := p.p.project(enrolled)
	rest := make([]uint32, len(p.p.sets))
	for i, set := range p.p.sets {
		rest[i] = set &^ have
	}
	rest, _ = minimal(rest) // no more than there were
	missing := make([][]FactorType, len(rest))
	for i, set := range rest {
		missing[i] = p.p.types(set)
	}
	return Result{Missing: missing}
}

// satisfied is Evaluate for those who need no more. It never allocates.
func (p Policy) satisfied(enrolled FactorSet) bool {
	if p.p == nil || p.p.err != nil {
		return false
	}
	return p.p.reason != "" || containsAny(p.p.project(enrolled), p.p.sets)
}

// Equal reports whether p and q are satisfied by the same enrolled types.
// Neither names nor the reasons of exempt policies count. An exempt policy
// equals only exempt ones, an invalid policy equals nothing, not even itself.
func (p Policy) Equal(q Policy) bool { return p.Implies(q) && q.Implies(p) }

// Implies reports whether whoever satisfies p satisfies q too: p is at least as
// strict. Every valid policy implies an exempt one. An invalid policy implies
// nothing, and nothing implies it.
func (p Policy) Implies(q Policy) bool {
	switch {
	case p.Err() != nil || q.Err() != nil:
		return false
	case q.p.reason != "":
		return true
	case p.p.reason != "":
		return false
	}
	for _, set := range transfer(p.p.sets, p.p.others, q.p.others) {
		if !containsAny(set, q.p.sets) {
			return false
		}
	}
	return true
}

// isZero reports whether p is the zero value, which nobody has set.
func (p Policy) isZero() bool { return p.p == nil }

// weak returns those of SMS and Email that satisfy the policy alone. GenAuth may
// list them for users who never enrolled them. An exempt policy has none: there
// the door is open on purpose.
func (p Policy) weak() []FactorType {
	if _, exempt := p.IsExempt(); exempt {
		return nil
	}
	return slices.DeleteFunc([]FactorType{SMS, Email}, func(t FactorType) bool {
		return !p.satisfied(Factors(t))
	})
}
