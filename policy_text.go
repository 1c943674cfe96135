package echomfa

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	maxPolicyText  = 256 << 10
	maxPolicyDepth = 32
)

// PolicySyntaxError says where and why a text is no policy. It matches
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
	p := parser{text: text}
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
	text  string
	at    int    // where the token begins
	end   int    // where it ends
	word  string // the token: a word in lower case, a quoted type with its quote, a sign, or "" at the end
	depth int
}

func (p *parser) errorf(format string, args ...any) error {
	return &PolicySyntaxError{Offset: p.at, Message: fmt.Sprintf(format, args...)}
}

// next reads a token.
func (p *parser) next() error {
	p.at = p.end
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
	rest := p.text[p.at:]
	p.end = p.at
	switch {
	case rest == "":
		p.word = ""
		return nil
	case strings.IndexByte("(),", rest[0]) >= 0:
		p.word = rest[:1]
	case rest[0] == '"':
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return p.errorf("a quoted text that does not end, or has an unknown escape")
		}
		p.word = quoted
	default:
		n := strings.IndexFunc(rest, func(r rune) bool { return !isWordRune(r) })
		if n < 0 {
			n = len(rest)
		}
		if n == 0 {
			return p.unexpected([]rune(rest)[0])
		}
		p.word = rest[:n]
	}
	p.end += len(p.word)
	return nil
}

// unexpected refuses a character, and says what to write for those that other
// languages have.
func (p *parser) unexpected(r rune) error {
	switch r {
	case '|':
		return p.errorf("unexpected %q: write or", r)
	case '&', '+':
		return p.errorf("unexpected %q: write and", r)
	case '\'', '`', '\u2018', '\u2019', '\u201c', '\u201d', '\u201e', '\u00ab', '\u00bb', '\uff02':
		return p.errorf(`unexpected %q: write double quotes, as in "VOICE"`, r)
	}
	return p.errorf("unexpected %q", r)
}

func isWordRune(r rune) bool {
	return r == '_' || r == '-' || 'a' <= r|0x20 && r|0x20 <= 'z' || '0' <= r && r <= '9'
}

func (p *parser) is(word string) bool { return strings.EqualFold(p.word, word) }

// expect reads over a sign or keyword.
func (p *parser) expect(word string) error {
	if !p.is(word) {
		return p.errorf("expected %q, found %s", word, p.found())
	}
	return p.next()
}

func (p *parser) found() string {
	if p.word == "" {
		return "the end"
	}
	return strconv.Quote(p.word)
}

// whole reads the text: an exemption, or a policy.
func (p *parser) whole() (Policy, error) {
	read := p.alternatives
	if p.is("exempt") {
		read = p.exemption
	}
	policy, err := read()
	if err != nil {
		return Policy{}, err
	}
	if _, exempt := policy.IsExempt(); exempt && p.word != "" {
		return Policy{}, p.errorf("%s", exemptAlone)
	}
	if p.word != "" {
		return Policy{}, p.errorf("expected \"and\", \"or\" or the end, found %s", p.found())
	}
	return policy, nil
}

func (p *parser) exemption() (Policy, error) {
	if err := p.next(); err != nil {
		return Policy{}, err
	}
	reason, err := strconv.Unquote(p.word)
	if err != nil || p.word[0] != '"' {
		return Policy{}, p.errorf("expected a reason in quotes, found %s", p.found())
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
	for err == nil && p.is(word) {
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
	case p.is("("):
		return p.group()
	case p.word != "" && strings.Trim(p.word, "0123456789") == "":
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
	n, err := strconv.Atoi(p.word)
	if err != nil {
		return Policy{}, p.errorf("%s is too large", p.word)
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
		if !p.is(",") {
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
	if strings.HasPrefix(p.word, `"`) {
		text, _ := strconv.Unquote(p.word) // next has seen that it is whole
		t := FactorType(text)
		if err := checkType(t); err != nil {
			return "", p.explain(err)
		}
		return t, nil
	}
	t := FactorType(p.word).Normalize()
	switch {
	case bitOf(t) >= 0:
		return t, nil
	case p.is("exempt"):
		return "", p.errorf("%s", exemptAlone)
	case p.word == "" || strings.IndexByte("(),", p.word[0]) >= 0 || p.is("and") || p.is("or") || p.is("of"):
		return "", p.errorf("expected a factor type, found %s", p.found())
	}
	return "", p.errorf("%s (a custom type is quoted)", unknownType(FactorType(p.word)))
}
