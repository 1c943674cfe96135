package echomfa

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/echomfa/echomfa/internal/bitsets"
	"github.com/echomfa/echomfa/internal/policylex"
)

const (
	maxPolicyText  = 256 << 10
	maxPolicyDepth = 32
)

// PolicySyntaxError reports where and why parsing failed. It matches
// [ErrInvalidPolicy].
type PolicySyntaxError struct {
	// Offset is the position in the text, in bytes from 0.
	Offset int
	// Message says what is wrong there.
	Message string
}

// Error includes the position.
func (e *PolicySyntaxError) Error() string {
	return fmt.Sprintf("%v at offset %d: %s", ErrInvalidPolicy, e.Offset, e.Message)
}

// Is reports whether target is ErrInvalidPolicy.
func (e *PolicySyntaxError) Is(target error) bool { return target == ErrInvalidPolicy }

// ParsePolicy reads a policy, such as
//
//	OTP or FACE
//	OTP and (SMS or EMAIL)
//	2 of (OTP, SMS, EMAIL)
//	exempt "health check"
//
// "and" binds tighter than "or"; case does not matter. A type that has no
// constant is quoted, so that a misspelled one is an error. The grammar is in
// the package comment. The error is a [*PolicySyntaxError], or matches
// [ErrInvalidPolicy] where the text as a whole is too much.
func ParsePolicy(text string) (Policy, error) {
	if len(text) > maxPolicyText {
		return Policy{}, fmt.Errorf("%w: a text of over %d bytes", ErrInvalidPolicy, maxPolicyText)
	}
	p := parser{Scanner: policylex.Scanner{Text: text}}
	if err := p.next(); err != nil {
		return Policy{}, err
	}
	policy, err := p.whole()
	if err != nil {
		return Policy{}, err
	}
	return policy, nil
}

const exemptAlone = "an exemption stands alone: it cannot be combined"

// parser reads by recursive descent, one token ahead.
type parser struct {
	policylex.Scanner

	depth int // of parentheses
}

func (p *parser) errorf(format string, args ...any) error {
	return &PolicySyntaxError{Offset: p.At, Message: fmt.Sprintf(format, args...)}
}

// next reads a token.
func (p *parser) next() error {
	if why := p.Next(); why != "" {
		return p.errorf("%s", why)
	}
	return nil
}

// expect reads over a sign or keyword.
func (p *parser) expect(word string) error {
	if !p.Is(word) {
		return p.errorf("expected %q, found %s", word, p.Found())
	}
	return p.next()
}

// whole reads the text: an exemption, or a policy.
func (p *parser) whole() (Policy, error) {
	read := p.alternatives
	if p.Is("exempt") {
		read = p.exemption
	}
	policy, err := read()
	if err != nil {
		return Policy{}, err
	}
	if _, exempt := policy.IsExempt(); exempt && p.Word != "" {
		return Policy{}, p.errorf("%s", exemptAlone)
	}
	if p.Word != "" {
		return Policy{}, p.errorf("expected \"and\", \"or\" or the end, found %s", p.Found())
	}
	return policy, nil
}

func (p *parser) exemption() (Policy, error) {
	if err := p.next(); err != nil {
		return Policy{}, err
	}
	reason, err := strconv.Unquote(p.Word)
	if err != nil || p.Word[0] != '"' {
		return Policy{}, p.errorf("expected a reason in quotes, found %s", p.Found())
	}
	return p.checked(Exempt(reason))
}

// checked reads on behind the last token of a policy, if that is valid.
func (p *parser) checked(policy Policy) (Policy, error) {
	if err := policy.Err(); err != nil {
		return Policy{}, p.explain(err)
	}
	return policy, p.next()
}

// explain gives an invalid policy its place in the text.
func (p *parser) explain(err error) error {
	return p.errorf("%s", strings.TrimPrefix(err.Error(), ErrInvalidPolicy.Error()+": "))
}

// alternatives = conjunction { "or" conjunction }.
func (p *parser) alternatives() (Policy, error) {
	return p.chain("or", p.conjunction, Policy.Or)
}

// conjunction = part { "and" part }.
func (p *parser) conjunction() (Policy, error) {
	return p.chain("and", p.part, Policy.And)
}

func (p *parser) chain(word string, read func() (Policy, error), join func(p, q Policy) Policy) (Policy, error) {
	policy, err := read()
	for err == nil && p.Is(word) {
		if err = p.next(); err != nil {
			break
		}
		var right Policy
		if right, err = read(); err != nil {
			break
		}
		if policy = join(policy, right); policy.Err() != nil {
			err = p.explain(policy.Err())
		}
	}
	return policy, err
}

// part = type | number "of" list | "(" alternatives ")".
func (p *parser) part() (Policy, error) {
	switch {
	case p.Is("("):
		return p.group()
	case p.Word != "" && strings.Trim(p.Word, "0123456789") == "":
		return p.count()
	}
	t, err := p.factorType()
	if err != nil {
		return Policy{}, err
	}
	return p.checked(customAtLeast(1, t))
}

func (p *parser) group() (Policy, error) {
	if p.depth == maxPolicyDepth {
		return Policy{}, p.errorf("more than %d parentheses in one another", maxPolicyDepth)
	}
	p.depth++
	defer func() { p.depth-- }()
	if err := p.next(); err != nil {
		return Policy{}, err
	}
	policy, err := p.alternatives()
	if err != nil {
		return Policy{}, err
	}
	return policy, p.expect(")")
}

// count = number "of" "(" type { "," type } ")".
func (p *parser) count() (Policy, error) {
	n, err := strconv.Atoi(p.Word)
	if err != nil {
		return Policy{}, p.errorf("%s is too large", p.Word)
	}
	start := *p
	if err := p.next(); err != nil {
		return Policy{}, err
	}
	if err := p.expect("of"); err != nil {
		return Policy{}, err
	}
	if err := p.expect("("); err != nil {
		return Policy{}, err
	}
	var types []FactorType
	for {
		t, err := p.factorType()
		if err != nil {
			return Policy{}, err
		}
		types = append(types, t)
		if err := p.next(); err != nil {
			return Policy{}, err
		}
		if !p.Is(",") {
			break
		}
		if err := p.next(); err != nil {
			return Policy{}, err
		}
	}
	if err := p.expect(")"); err != nil {
		return Policy{}, err
	}
	policy := customAtLeast(n, types...)
	if err := policy.Err(); err != nil {
		return Policy{}, start.explain(err)
	}
	return policy, nil
}

// factorType returns the type that the present token names. One without a
// constant has been declared by its quotes.
func (p *parser) factorType() (FactorType, error) {
	if strings.HasPrefix(p.Word, `"`) {
		text, _ := strconv.Unquote(p.Word) // next has seen that it is whole
		t := FactorType(text)
		if err := checkType(t); err != nil {
			return "", p.explain(err)
		}
		return t, nil
	}
	t := FactorType(p.Word).Normalize()
	switch {
	case bitOf(t) >= 0:
		return t, nil
	case p.Is("exempt"):
		return "", p.errorf("%s", exemptAlone)
	case p.Word == "" || strings.IndexByte("(),", p.Word[0]) >= 0 || p.Is("and") || p.Is("or") || p.Is("of"):
		return "", p.errorf("expected a factor type, found %s", p.Found())
	}
	return "", p.errorf("%s (a custom type is quoted)", unknownType(FactorType(p.Word)))
}

// String returns the policy's text, by which [ParsePolicy] makes an equal
// policy. The text of an invalid policy says why, and does not parse.
func (p Policy) String() string {
	if err := p.Err(); err != nil {
		return err.Error()
	}
	if text := p.p.text.Load(); text != nil {
		return *text
	}
	var text string
	if p.p.exempt {
		text = "exempt " + strconv.Quote(p.p.reason)
	} else {
		text = spell(p.p.sets, p.p.others)
	}
	p.p.text.Store(&text)
	return text
}

// spell writes satisfying sets in the shortest of a few forms.
func spell(sets []uint32, others []FactorType) string {
	common, all := sets[0], bitsets.Union(sets)
	for _, s := range sets {
		common &= s
	}
	switch {
	case len(sets) == 1:
	case common != 0:
		rest := make([]uint32, len(sets))
		for i, s := range sets {
			rest[i] = s &^ common
		}
		text := spell(rest, others)
		if !bitsets.AreChosen(rest) {
			text = "(" + text + ")"
		}
		return spellAll(common, others) + " and " + text
	case bitsets.AreChosen(sets):
		types := make([]string, 0, bits.OnesCount32(all))
		for _, t := range typesOf(all, others) {
			types = append(types, spellType(t))
		}
		return strconv.Itoa(bits.OnesCount32(sets[0])) + " of (" + strings.Join(types, ", ") + ")"
	}
	alternatives := make([]string, 0, len(sets))
	for _, s := range sets {
		alternatives = append(alternatives, spellAll(s, others))
	}
	return strings.Join(alternatives, " or ")
}

func spellAll(mask uint32, others []FactorType) string {
	types := typesOf(mask, others)
	words := make([]string, 0, len(types))
	for _, t := range types {
		words = append(words, spellType(t))
	}
	return strings.Join(words, " and ")
}

func spellType(t FactorType) string {
	if bitOf(t) >= 0 {
		return string(t)
	}
	return strconv.Quote(string(t))
}

// MarshalText returns the policy's text. An invalid policy is an error.
func (p Policy) MarshalText() ([]byte, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	return []byte(p.String()), nil
}

// UnmarshalText reads a policy as [ParsePolicy] does. On an error the policy
// stays as it was.
func (p *Policy) UnmarshalText(text []byte) error {
	parsed, err := ParsePolicy(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}
